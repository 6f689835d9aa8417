"""Codebooks around binarizers, by the name a recipe gives them; each file states its source, formulas and deviations."""

from bwnhw.models.codebooks.base import CodebookBinarizer
from bwnhw.models.codebooks.pste import Pste
from bwnhw.models.codebooks.qbn import Qbn
from bwnhw.models.codebooks.snn import Snn

CODEBOOKS: dict[str, type[CodebookBinarizer]] = {
    "qbn": Qbn,
    "snn": Snn,
    "pste": Pste,
}
