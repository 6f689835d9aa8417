"""BiPer (Vargas et al., CVPR 2024): the bit is the sign of a sine of the latent weight, so it changes periodically.

    stage 1   w^ = alpha sin(omega w)                     real weights, binary activations
    stage 2   w^ = alpha sgn(sin(omega w))                d w^ / d w := alpha omega cos(omega w)
    deployed  alpha sgn(sin(omega w)), in either stage: not sgn(w)

alpha is one trained number per output channel that starts in U(0, 1) and may become negative. The loss `sine` (losses/sine.py) is the
release's further term on CIFAR-10.

Deviations: the two stages are one training that changes over after the share `first_stage` of its steps (the release trains 600 and 300
epochs with a learning rate and a weight decay for each stage); inputs of a layer aren't divided by their standard deviation in training;
sgn(0) = +1. Default omega is 20, the released runs' value.
"""

import torch
from torch import Tensor, nn

from bwnhw.models.binarizers.base import Binarizer


class BiPer(Binarizer):
    """`omega` in radians per unit of the latent; `first_stage` is the share of all steps trained with the sine itself."""

    def __init__(self, shape: tuple[int, ...], scale: str = "learned-channel", omega: float = 20.0, first_stage: float = 2 / 3) -> None:
        super().__init__(shape, scale)
        self.omega, self.first_stage = omega, first_stage
        self.binary = False
        if self.learned_scale is not None:
            nn.init.uniform_(self.learned_scale)

    def advance(self, progress: float) -> None:
        """Change over to the second stage when it is time."""
        self.binary = progress >= self.first_stage

    def carrier(self) -> Tensor:
        """sin(omega w)."""
        return torch.sin(self.omega * self.latent)

    def trained(self) -> Tensor:
        """alpha sin(omega w), in the second stage alpha sgn(sin(omega w))."""
        return super().trained() if self.binary else self.scaled(self.carrier())
