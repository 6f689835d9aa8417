"""OvSW's weights (Xiang et al., ECCV 2024): sign with gradient 1 and no clipping; what makes the method is the hook of the same name.

The released code multiplies the bits of a channel by the mean magnitude of its standardised latents, about 0.8 for normal ones, as a
constant to the gradient: `scale = "channel"`. In front of a batch norm that only divides the gradient, so the default here is none.
"""

from torch import Tensor

from bwnhw.models.binarize import ScaleMode, standardised, weight_scale
from bwnhw.models.binarizers.base import Binarizer


class Ovsw(Binarizer):
    """scale · sign(latent)."""

    def scale(self) -> Tensor:
        """In mode channel the mean magnitude of the channel after standardising it."""
        if self.mode is not ScaleMode.CHANNEL:
            return super().scale()
        return weight_scale(standardised(self.latent.detach()), self.mode)
