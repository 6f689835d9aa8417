"""BiPer's further loss (Vargas et al., CVPR 2024, the released CIFAR-10 runs): the mean of sin²(omega w), summed over layers, times tau.

    tau Σ over layers of mean(1/2 - 1/2 cos(2 omega w)) = tau Σ mean(sin²(omega w))

It pulls weights towards the zeros of the sine, where they change sign easily; it doesn't draw them to ±1. The release uses tau 0.037 in
the first stage and 0.0468 in the second, and leaves the term out on ImageNet. Deviation: one tau for both stages.
"""

import torch
from torch import Tensor, nn

from bwnhw.models.binarizers.biper import BiPer
from bwnhw.models.losses.base import ExtraLoss, StepView


class Sine(ExtraLoss):
    """For networks of the binarizer biper."""

    def __init__(self, network: nn.Module, count: int, features: int, tau: float = 0.037) -> None:
        super().__init__(network, count, features)
        self.tau = tau
        self.binarizers = tuple(module for module in network.modules() if isinstance(module, BiPer))
        if not self.binarizers:
            raise ValueError("it is for the binarizer biper, and the network has none")

    def forward(self, step: StepView) -> Tensor:
        """A scalar; doesn't look at the step."""
        return self.tau * torch.stack([binarizer.carrier().square().mean() for binarizer in self.binarizers]).sum()
