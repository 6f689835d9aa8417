"""What an optimizer of binary weights is."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class LatentOptimizer(torch.optim.Optimizer):
    """Moves some parameters of a network, which `param_groups` names; the training loop gives the others to Adam.

    `__init__(network)` gets the network; options are further typed keyword arguments, as a recipe's table [optimizer]. A group's "lr"
    starts at the option `rate` where there is one, else at 1 and unused, so that a schedule of learning rates may multiply it.
    """

    def __init__(self, parameters: Iterable[Tensor], rate: float = 1.0) -> None:
        super().__init__(list(parameters), {"lr": rate})
        self.progress = 0.0

    def advance(self, progress: float) -> None:
        """Before each step: `progress` in [0, 1) is the share of all steps already made."""
        self.progress = progress

    def gradients(self) -> Iterable[tuple[nn.Parameter, Tensor, dict[str, Any]]]:
        """(parameter, gradient, its state) of every parameter that has a gradient."""
        return ((p, p.grad, self.state[p]) for group in self.param_groups for p in group["params"] if p.grad is not None)
