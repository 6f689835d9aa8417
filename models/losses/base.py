"""What a loss beside the cross entropy is."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class StepView:
    """What a loss may look at in one step: `index` (N,) of the images in the training set, the distorted `images` (N, C, H, W),
    `labels` (N,), `features` (N, F) entering the last weight layer, flattened, and `scores` (N, classes); `progress` in [0, 1)."""

    index: Tensor
    images: Tensor
    labels: Tensor
    features: Tensor
    scores: Tensor
    progress: float


class ExtraLoss(nn.Module):
    """Adds to the cross entropy. A module, so that its own parameters train and its buffers are kept in checkpoints.

    `__init__(network, count, features)` gets the network, the number of training images and the width of `StepView.features`; options are
    further typed keyword arguments, as a recipe's table [loss].
    """

    def __init__(self, network: nn.Module, count: int, features: int) -> None:
        super().__init__()

    def forward(self, step: StepView) -> Tensor:
        """A scalar."""
        raise NotImplementedError
