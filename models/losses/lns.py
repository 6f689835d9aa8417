"""LNS's noisy supervision (Han et al., ICML 2020): signs y of a trained binary network are noisy labels for the mapped weights z.

    l~(z, y) = [(1 - rho_-y) l(z, y) - rho_y l(z, -y)] / (1 - rho_+ - rho_-)

(Natarajan et al. 2013), with rho_y the probability that a sign y is seen as -y: its mean over that noise is l(z, true sign). Here
l(z, y) = log(1 + exp(-y z)), both rates are `rho`, and the mean over layers of the mean over weights is added with a factor that falls
linearly from `strength` to 0. Since l has no upper bound, l~ has no lower one: only the fall and small `rho` keep |z| from growing.

A derived form, not claimed to be the paper's: its rates and weights are unknown to us. See binarizers/lns.py for the mapping.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bwnhw.models.binarizers.lns import Lns
from bwnhw.models.losses.base import ExtraLoss, StepView


def corrected(z: Tensor, y: Tensor, rho_plus: float, rho_minus: float) -> Tensor:
    """l~(z, y), elementwise; y in {-1, +1}."""
    seen = torch.where(y > 0, rho_plus, rho_minus)  # rho_y
    unseen = torch.where(y > 0, rho_minus, rho_plus)
    return ((1 - unseen) * functional.softplus(-y * z) - seen * functional.softplus(y * z)) / (1 - rho_plus - rho_minus)


class NoisySigns(ExtraLoss):
    """For networks of the binarizer lns, from the end of its warm-up on."""

    def __init__(self, network: nn.Module, count: int, features: int, rho: float = 0.1, strength: float = 0.01) -> None:
        super().__init__(network, count, features)
        if not 0 <= rho < 0.5:
            raise ValueError(f"rho must lie in [0, 0.5), found {rho}")
        self.rho, self.strength = rho, strength
        self.binarizers = tuple(module for module in network.modules() if isinstance(module, Lns))
        if not self.binarizers:
            raise ValueError("it is for the binarizer lns, and the network has none")

    def forward(self, step: StepView) -> Tensor:
        """A scalar; 0 in the warm-up."""
        terms = [corrected(binarizer.carrier(), binarizer.targets, self.rho, self.rho).mean()
                 for binarizer in self.binarizers if binarizer.supervised]
        if not terms:
            return step.scores.new_zeros(())
        return self.strength * (1 - step.progress) * torch.stack(terms).mean()
