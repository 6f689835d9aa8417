"""SNN, sub-bit networks (Wang et al. 2021): a codebook per layer that is trained by gradient, tap by tap.

After the authors' released code: real parameters P (2**bits, 9) whose signs are the codewords, with hysteresis; every latent kernel is
mapped to the nearest codeword in L2; on every 25th step P gets the sum of the gradients of the kernels mapped to each codeword,
codewords that have become equal are drawn anew among the unused kernels, and P is clamped to ±3. Latents get a gradient where |w| < 1.
The paper scales by mean |w| per filter: that is the binarizer's option scale = "channel".
"""

import numpy as np
import torch
from torch import Tensor, nn

from bwnhw.codebooks import Selection, select
from bwnhw.errors import InputError
from bwnhw.kernels import KERNELS, TAPS, signs
from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.codebooks.base import CodebookBinarizer, Shared, values

_EVERY = 25
_DEAD_ZONE = 1e-3
_BOUND = 3.0


class Snn(CodebookBinarizer):
    """2**bits trained codewords; they start as a random subset of the 512 kernels, or with `frequent` as the layer's most frequent ones."""

    steps: Tensor

    def __init__(self, inner: Binarizer, shared: Shared, bits: int = 4, frequent: bool = False) -> None:
        del shared  # every layer has a codebook of its own
        if inner.latent.shape[2:] != (3, 3):
            raise InputError(f"codebook: expected 3×3 kernels for snn, found {tuple(inner.latent.shape[2:])}")
        super().__init__(inner, Selection(bits), bits)
        size = self.selection.words
        chosen = select([values(inner)], self.selection) if frequent else torch.randperm(KERNELS)[:size].numpy()[None]
        self.adopt(chosen)
        self.codewords = nn.Parameter(_kernels(chosen[0]))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def trained(self) -> Tensor:
        """scale · q(carrier); the codewords get a gradient on every 25th step."""
        carrier, book = self.carrier(), self.codebook()
        assert book is not None  # there from the start
        memory = _kernels(self.words[0].cpu().numpy()).to(carrier)
        if int(self.steps) % _EVERY == 0:
            memory = memory + (self.codewords - self.codewords.detach())
        kernels = memory[torch.from_numpy(book.index).to(carrier.device)].reshape(carrier.shape)
        inside = (carrier.abs() < 1).to(carrier.dtype)
        return self.scaled(kernels + inside * (carrier - carrier.detach()))

    def after_step(self) -> None:
        """Clamp and refill on every 25th step; then the new codewords are read off the parameters."""
        super().after_step()
        with torch.no_grad():
            due = int(self.steps) % _EVERY == 0
            if due:
                self.codewords.clamp_(-_BOUND, _BOUND)
            taps = self.codewords.detach().cpu().numpy()
            before = signs(self.words[0].cpu().numpy())
            found = np.where(np.abs(taps) >= _DEAD_ZONE, taps >= 0, before > 0) @ (1 << np.arange(TAPS))
            if due:
                found = self._refilled(found)
            self.words[0] = torch.from_numpy(found)
            self.steps += 1

    def _refilled(self, found: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """The codewords (K,) with all but the first of equal ones replaced by random unused kernels, their parameters too."""
        first = np.unique(found, return_index=True)[1]
        again = np.setdiff1d(np.arange(len(found)), first)
        unused = torch.from_numpy(np.setdiff1d(np.arange(KERNELS), found))
        drawn = unused[torch.randperm(len(unused))[:len(again)]].numpy()
        found = found.copy()
        found[again] = drawn
        self.codewords[torch.from_numpy(again)] = _kernels(drawn).to(self.codewords)
        return found


def _kernels(numbers: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]") -> Tensor:
    """±1 kernels (..., 9) of codes (...)."""
    return torch.from_numpy(signs(np.asarray(numbers)).astype(np.float32))
