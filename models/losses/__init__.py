"""Losses beside the cross entropy, by the name a recipe gives them."""

from bwnhw.models.losses.base import ExtraLoss
from bwnhw.models.losses.cmim import MutualInformation
from bwnhw.models.losses.kurtosis import Kurtosis
from bwnhw.models.losses.lns import NoisySigns
from bwnhw.models.losses.sine import Sine

LOSSES: dict[str, type[ExtraLoss]] = {"cmim": MutualInformation, "kurtosis": Kurtosis, "lns": NoisySigns, "sine": Sine}
