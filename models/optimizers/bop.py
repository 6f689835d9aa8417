"""Bop (Helwegen et al. 2019) and its second-order form (Suarez-Ramirez et al. 2021): binary weights flip, there is no latent.

With g the gradient at the binary weight w, after every backward pass

    m ← (1 - gamma) m + gamma g
    Bop           w ← -w  where  w m > tau
    Bop2ndOrder   v ← (1 - sigma) v + sigma g²
                  w ← -w  where  w m / (√v + 1e-10) > tau          (biased, as released)
                  w ← -w  where  w m^ / (√v^ + 1e-10) > tau        (unbiased: m^ = m / (1 - (1 - gamma)^t), v^ likewise)

m and v start at 0, the comparison is strict. Weights are those of the binarizer `direct`; all other parameters go to Adam.

Deviations: at w m = tau nothing flips (the release puts +1 there, which is a case of measure zero). The batch norm behind the layer
keeps its trained slope (there it is fixed at 1, so that all thresholds point upwards). Activations have the frame's slope. The class of
the unbiased form is missing from the release: ours follows from the usual correction and is not claimed to be theirs.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bwnhw.models.binarizers.direct import Direct
from bwnhw.models.optimizers.base import LatentOptimizer


def _directs(network: nn.Module) -> list[nn.Parameter]:
    """The weights of the binarizers `direct`; ValueError where there are none."""
    found = [module.latent for module in network.modules() if isinstance(module, Direct)]
    if not found:
        raise ValueError("it flips the weights of the binarizer direct, and the network has none")
    return found


def _flip_(weights: Tensor, pull: Tensor, tau: float) -> None:
    weights.copy_(torch.where(weights * pull > tau, -weights, weights))


def _average_(state: dict[str, Any], name: str, value: Tensor, rate: float) -> Tensor:
    """state[name] ← (1 - rate) state[name] + rate · value, from 0; the new average."""
    average: Tensor = state.setdefault(name, torch.zeros_like(value))
    return average.mul_(1 - rate).add_(value, alpha=rate)


class Bop(LatentOptimizer):
    """Flips where the averaged gradient pushes against the weight by more than `tau`.

    `gamma` (in (0, 1]) is multiplied by `decay` after each fifth of the training: the released run on CIFAR-10 (0.1 per 100 of 500 epochs).
    """

    def __init__(self, network: nn.Module, tau: float = 1e-8, gamma: float = 1e-4, decay: float = 0.1) -> None:
        if tau < 0 or not 0 < gamma <= 1:
            raise ValueError(f"tau must not be negative and gamma lie in (0, 1], found {tau} and {gamma}")
        super().__init__(_directs(network))
        self.tau, self.gamma, self.decay = tau, gamma, decay

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure
        """Flip."""
        gamma = self.gamma * self.decay ** int(5 * self.progress)
        for weights, grad, state in self.gradients():
            _flip_(weights, _average_(state, "m", grad, gamma), self.tau)


class Bop2ndOrder(LatentOptimizer):
    """Bop on gradients relative to their root mean square, so that their scale doesn't matter.

    `tau`, `gamma` and `sigma` go linearly to their `_end`s over the training; the defaults are the released best run on CIFAR-10.
    """

    def __init__(
        self,
        network: nn.Module,
        tau: float = 1e-5,
        tau_end: float = 1e-8,
        gamma: float = 1e-2,
        gamma_end: float = 1e-5,
        sigma: float = 1e-7,
        sigma_end: float = 1e-2,
        unbiased: bool = False,
    ) -> None:
        if min(tau, tau_end) < 0 or not all(0 < rate <= 1 for rate in (gamma, gamma_end, sigma, sigma_end)):
            raise ValueError("tau must not be negative, and gamma and sigma lie in (0, 1]")
        super().__init__(_directs(network))
        self.ranges = ((tau, tau_end), (gamma, gamma_end), (sigma, sigma_end))
        self.unbiased = unbiased

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure
        """Flip."""
        tau, gamma, sigma = (start + (end - start) * self.progress for start, end in self.ranges)
        for weights, grad, state in self.gradients():
            m, v = _average_(state, "m", grad, gamma), _average_(state, "v", grad.square(), sigma)
            if self.unbiased:  # 1 - Π (1 - rate) over the steps, which is 1 - (1 - rate)^t at a constant rate
                state["left_m"] = state.get("left_m", 1.0) * (1 - gamma)
                state["left_v"] = state.get("left_v", 1.0) * (1 - sigma)
                m, v = m / (1 - state["left_m"]), v / (1 - state["left_v"])
            _flip_(weights, m / (v.sqrt() + 1e-10), tau)
