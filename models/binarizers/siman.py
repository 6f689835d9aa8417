"""SiMaN (Lin et al., TPAMI 2022): the bit says whether a weight is among the larger half of its filter, whatever its sign.

Before every step the latent is centred per filter, and its magnitudes are clipped to the p-th and (100 - p)-th percentile of the layer's,
p = 15 (1 - progress). Then with w2 the standardised latent

    X = |w2|,   B = 1[X > median of the filter],   w^ = alpha (2B - 1)

and the gradient passes from 2B - 1 to X unchanged, then exactly through magnitude and standardisation. Of n weights of a filter n // 2 are
+1 (ties aside), so rows are balanced. alpha is one trained number per output channel, of either sign, and starts at mean |w|.

Deployed is 2B - 1 of the final latent, not sgn(w). The released code stores B in the last forward pass; we compute it from the latent
after the last step. **Static variant**: the release also subtracts each image's mean activation and divides by its deviation before the
sign, in inference too, which no fixed threshold expresses. Here that is left out, unless the architecture's activations are `centred`
(layers.py), which subtract a frozen running mean. Weight decay is the recipe's: 0 on these latents is the method's.
"""

import torch
from torch import Tensor

from bwnhw.models.binarize import sign, standardised
from bwnhw.models.binarizers.base import Binarizer

_PERCENT = 15.0


class SiMaN(Binarizer):
    """Magnitudes against the median of their filter."""

    def __init__(self, shape: tuple[int, ...], scale: str = "learned-channel") -> None:
        super().__init__(shape, scale)

    @torch.no_grad()
    def advance(self, progress: float) -> None:
        """Centre the latent and clip its magnitudes, in place."""
        inner = tuple(range(1, self.latent.dim()))
        centred = self.latent - self.latent.mean(dim=inner, keepdim=True)
        size, share = centred.abs(), _PERCENT / 100 * (1 - progress)
        low, high = _quantile(size, share), _quantile(size, 1 - share)
        self.latent.copy_(sign(centred) * torch.minimum(torch.maximum(size, low), high))

    def carrier(self) -> Tensor:
        """|w2| less a number between the two middle magnitudes of the filter, so that the larger n // 2 are positive."""
        size = standardised(self.latent).abs()
        flat = size.detach().flatten(1)
        count = flat.shape[1]
        ordered = flat.sort(dim=1).values
        below = ordered[:, max(0, count - count // 2 - 1)]
        middle = (below + ordered[:, min(count - 1, count - count // 2)]) / 2
        return size - middle.reshape(-1, *(1,) * (size.dim() - 1))


def _quantile(values: Tensor, share: float) -> Tensor:
    """The value with that share of all below it, interpolated; of any number of values (torch.quantile ends at 2^24)."""
    ordered = values.flatten().sort().values
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
