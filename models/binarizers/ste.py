"""Sign with a straight-through gradient, the baseline: BinaryConnect (Courbariaux et al. 2015) with a choice of scales.

Scale none (1), layer or channel (mean |w|, a constant to the gradient; per channel it is XNOR-Net's least-squares optimum),
or learned (one trained scalar that starts at mean |w|). The gradient of the sign is 1.
"""

from bwnhw.models.binarizers.base import Binarizer, clip_


class Ste(Binarizer):
    """scale · sign(latent); with `clip` the latent is kept in [-1, 1]. Exports sign(latent)."""

    def __init__(self, shape: tuple[int, ...], scale: str = "none", clip: bool = True) -> None:
        super().__init__(shape, scale)
        self.clip = clip

    def after_step(self) -> None:
        """Clip."""
        if self.clip:
            clip_(self.latent)
