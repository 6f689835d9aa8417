"""The training methods of weights, by the name a recipe gives them; each file states its source, formulas and deviations."""

from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.binarizers.ste import Ste

BINARIZERS: dict[str, type[Binarizer]] = {
    "ste": Ste,
}
