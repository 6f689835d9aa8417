"""Optimizers that move binary or latent weights alone, by the name a recipe gives them; all other parameters go to Adam."""

from bwnhw.models.optimizers.base import LatentOptimizer
from bwnhw.models.optimizers.bop import Bop, Bop2ndOrder
from bwnhw.models.optimizers.qp_sbgd import QpSbgd

OPTIMIZERS: dict[str, type[LatentOptimizer]] = {"bop": Bop, "bop2": Bop2ndOrder, "qp-sbgd": QpSbgd}
