"""Which signs settle when: statistics of the bits of a layer over its training, and the ablation that gives them a meaning.

The protocol is this project's; the definitions in the paper that speaks of a primary binary sub-network (Sun, Yao 2021) aren't
published where we could read them. With S_e the signs after epoch e = 0 (start) .. E (end):

    settle epoch      τ = 1 + max{e : S_e ≠ S_E}, 0 where they never differ
    early fixed       F(e) = mean[τ ≤ e], grows to F(E) = 1
    agreement         A(e) = mean[S_e = S_E] ≥ F(e)
    flip ratio        mean[S_e ≠ S_{e-1}], per step where every step is watched
    never flipped     N = mean[S_e = S_0 for all e] = F(0)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.hooks.base import GradientHook

Signs = NDArray[np.bool_]
_SHARES = (0.1, 0.25, 0.5)  # of the training, at which the summary reports F


@dataclass(frozen=True, eq=False)
class SignRecords:
    """The signs of one layer after every epoch: `packed` uint8 (E + 1, ⌈count / 8⌉), one bit per weight, 1 for +1."""

    packed: NDArray[np.uint8]
    count: int

    def at(self, epoch: int) -> Signs:
        """S_epoch as (count,) flags of +1; negative counts from the end."""
        return np.unpackbits(self.packed[epoch], count=self.count).astype(np.bool_)

    @property
    def epochs(self) -> int:
        """E."""
        return len(self.packed) - 1

    def settled(self) -> NDArray[np.int64]:
        """τ of every weight, (count,)."""
        last = self.at(-1)
        epochs = np.zeros(self.count, dtype=np.int64)
        for epoch in range(self.epochs):
            epochs[self.at(epoch) != last] = epoch + 1
        return epochs

    def early_fixed(self) -> NDArray[np.float64]:
        """F(0..E), (E + 1,)."""
        return np.bincount(self.settled(), minlength=self.epochs + 1).cumsum() / self.count

    def agreement(self) -> NDArray[np.float64]:
        """A(0..E), (E + 1,)."""
        last = self.at(-1)
        return np.array([np.mean(self.at(epoch) == last) for epoch in range(self.epochs + 1)])

    def flip_ratios(self) -> NDArray[np.float64]:
        """Share of the weights whose sign differs from the epoch before, (E,)."""
        return np.array([np.mean(self.at(epoch) != self.at(epoch - 1)) for epoch in range(1, self.epochs + 1)])

    def never_flipped(self) -> float:
        """N, blind to flips that revert within an epoch."""
        first = self.at(0)
        same = np.ones(self.count, dtype=np.bool_)
        for epoch in range(1, self.epochs + 1):
            same &= self.at(epoch) == first
        return float(same.mean())


def primary(settled: NDArray[np.int64], magnitude: NDArray[np.floating], share: float) -> Signs:
    """The primary sub-network: flags (count,) of the `share` of weights that settle first, of equals those of greater |latent|.

    Zeros as `settled` leave the rule that needs no hindsight: the greatest |latent|.
    """
    chosen = np.lexsort((-magnitude, settled))[: round(share * len(settled))]
    mask = np.zeros(len(settled), dtype=np.bool_)
    mask[chosen] = True
    return mask


class SignWatch:
    """Follows the bits of layers through a training: `step` after every step, `record` after every epoch and before the first.

    Counts in `flips` per weight, and keeps in `last` the number of steps made at its latest flip (0: never).
    """

    def __init__(self, layers: Mapping[str, Binarizer]) -> None:
        self.layers = dict(layers)
        self.before = {name: item.bits() > 0 for name, item in self.layers.items()}
        self.flips = {name: torch.zeros_like(signs, dtype=torch.int32) for name, signs in self.before.items()}
        self.last = {name: torch.zeros_like(signs, dtype=torch.int32) for name, signs in self.before.items()}
        self.steps = 0
        self.epochs: list[dict[str, NDArray[np.uint8]]] = []

    def step(self) -> None:
        """Count the flips of one step."""
        self.steps += 1
        for name, item in self.layers.items():
            now = item.bits() > 0
            flipped = now != self.before[name]
            self.flips[name] += flipped
            self.last[name].masked_fill_(flipped, self.steps)
            self.before[name] = now

    def record(self) -> None:
        """Keep the present signs."""
        self.epochs.append({name: np.packbits((item.bits() > 0).cpu().numpy()) for name, item in self.layers.items()})

    def records(self) -> dict[str, SignRecords]:
        """What `record` kept, by layer."""
        return {
            name: SignRecords(np.stack([epoch[name] for epoch in self.epochs]), item.latent.numel()) for name, item in self.layers.items()
        }

    def summary(self) -> dict[str, dict[str, float]]:
        """By layer: flips per weight and step, never flipped per step and per epoch, F at 10, 25 and 50 % of the epochs."""
        rows = {}
        for name, records in self.records().items():
            fixed = records.early_fixed()
            rows[name] = {
                "flips_per_step": float(self.flips[name].double().mean()) / max(1, self.steps),
                "never_flipped": float((self.flips[name] == 0).double().mean()),
                "never_flipped_by_epoch": records.never_flipped(),
                **{f"fixed_at_{share:.0%}": float(fixed[round(share * records.epochs)]) for share in _SHARES},
            }
        return rows

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint must keep of it."""
        return {"before": self.before, "flips": self.flips, "last": self.last, "steps": self.steps, "epochs": self.epochs}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take up what `state_dict` gave."""
        for name in ("before", "flips", "last"):
            for layer, kept in cast(dict[str, Tensor], state[name]).items():
                getattr(self, name)[layer].copy_(kept)
        self.steps = cast(int, state["steps"])
        self.epochs = list(cast(list[dict[str, NDArray[np.uint8]]], state["epochs"]))


class HeldSigns(GradientHook):
    """The ablation: weights under a mask have given signs and keep them, the rest trains.

    `masks` and `signs` are flags per layer, (count,) each. Under a mask latents are ±1, put back before every step, with gradient 0: no
    weight decay or momentum moves them through 0, as long as a step is smaller than 1. For methods whose bit is sign(latent), with
    a scale that doesn't depend on magnitudes. Compare with a random mask of equal size, and with the mask's complement.
    """

    def __init__(self, binarizers: Sequence[Binarizer], masks: Sequence[Signs], signs: Sequence[Signs]) -> None:
        super().__init__(binarizers)
        self.masks = [_shaped(mask, item) for mask, item in zip(masks, self.binarizers, strict=True)]
        self.held = [2 * _shaped(wanted, item).to(item.latent.dtype) - 1 for wanted, item in zip(signs, self.binarizers, strict=True)]
        self.hold()

    def hold(self) -> None:
        """Put the latents under the masks back."""
        for item, mask, held in zip(self.binarizers, self.masks, self.held, strict=True):
            item.latent.data[mask] = held[mask]

    def apply(self) -> None:
        """Hold, and zero the gradients under the masks."""
        self.hold()
        for item, mask in zip(self.binarizers, self.masks, strict=True):
            if item.latent.grad is not None:
                item.latent.grad.masked_fill_(mask, 0)


def _shaped(flags: Signs, item: Binarizer) -> Tensor:
    return torch.from_numpy(flags.reshape(tuple(item.latent.shape))).to(item.latent.device)
