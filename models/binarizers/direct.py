"""The parameter is the binary weight itself: what Bop flips (Helwegen et al. 2019, see optimizers/bop.py). There is no latent.

Its gradient is the gradient at the binary weight, since no quantiser stands in between. Exported are the weights, with scale 1. An
optimizer that adds to parameters would leave {-1, +1}; what is deployed is then the sign.
"""

import torch
from torch import Tensor

from bwnhw.models.binarize import sign
from bwnhw.models.binarizers.base import Binarizer


class Direct(Binarizer):
    """±1 weights, at first the signs of N(0, 1); for the optimizers bop and bop2."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        with torch.no_grad():
            self.latent.copy_(sign(self.latent))

    def trained(self) -> Tensor:
        """The parameter itself."""
        return self.latent
