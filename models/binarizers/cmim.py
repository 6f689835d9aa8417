"""The binariser of CMIM (Shang et al., ECCV 2022, the released CIFAR-100 code), which is IR-Net's (Qin et al., CVPR 2020).

    w2 = (w - mean) / deviation, per filter;   w^ = s sgn(w2),   s = 2^round(log2 mean|w2|), per filter, a constant to the gradient
    d sgn(w2) / d w2 := k t (1 - tanh²(t w2)), with t, k of `binarize.sharpness`

Deployed are sgn(w - mean), not sgn(w), and scales that are powers of two, which shift in hardware or vanish in a threshold. CMIM's
contrastive loss is losses/cmim.py, and goes with any binariser.

Deviation: activations have the frame's slope (the release: the same as weights).
"""

import torch
from torch import Tensor

from bwnhw.models.binarize import ede_slope, sharpness, sign, standardised, with_slope
from bwnhw.models.binarizers.base import Binarizer


class Cmim(Binarizer):
    """Signs of centred weights, scaled by a power of two."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape, "channel")
        self.sharpness = sharpness(0.0)

    def advance(self, progress: float) -> None:
        """Sharpen the slope."""
        self.sharpness = sharpness(progress)

    def carrier(self) -> Tensor:
        """w2."""
        return standardised(self.latent)

    def scale(self) -> Tensor:
        """s, shape (out, 1, ...)."""
        with torch.no_grad():
            size = self.carrier().abs().mean(dim=tuple(range(1, self.latent.dim())), keepdim=True)
            return torch.exp2(size.clamp(min=2.0**-60).log2().round())

    def trained(self) -> Tensor:
        """s sgn(w2), with the slope of the error decay estimator."""
        carrier = self.carrier()
        return self.scaled(with_slope(carrier, sign(carrier), ede_slope(carrier, *self.sharpness)))
