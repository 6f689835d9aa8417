"""A real-valued teacher of the same shape, which learns beside the student."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.layers import BinaryConv2d, BinaryLinear, CentredSignAct, QuantAct, SignAct
from bwnhw.models.losses.base import StepView


class RealWeight(nn.Module):
    """The latent itself as weight."""

    def __init__(self, latent: Tensor) -> None:
        super().__init__()
        self.latent = nn.Parameter(latent.detach().clone())

    def forward(self) -> Tensor:
        """The latent."""
        return self.latent


def real_twin(network: nn.Module) -> nn.Module:
    """A copy with real weights (the latents) in place of binary ones, and clipped linear activations in [-1, 1] or [0, ∞)."""
    twin = deepcopy(network)
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if isinstance(child, Binarizer):
                setattr(module, name, RealWeight(child.latent))
            elif isinstance(child, SignAct | CentredSignAct):
                setattr(module, name, nn.Hardtanh())
            elif isinstance(child, QuantAct):
                setattr(module, name, nn.ReLU())
    return twin


class Teacher(nn.Module):
    """Starts from the student's latents and learns the same batches by its own cross entropy.

    The papers train the teacher first. One training for both needs no second recipe; the student sees a poor teacher at first.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = real_twin(network)
        self.features: Tensor = torch.empty(0)
        layers = [module for module in self.network.modules() if isinstance(module, BinaryConv2d | BinaryLinear)]
        layers[-1].register_forward_pre_hook(self._watch)

    def _watch(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.features = inputs[0].flatten(1)

    def forward(self, step: StepView) -> tuple[Tensor, Tensor, Tensor]:
        """Its own loss (a scalar), and without gradient its features (N, F) entering the last layer and its scores (N, classes)."""
        scores: Tensor = self.network(step.images)
        return functional.cross_entropy(scores, step.labels), self.features.detach(), scores.detach()

    def convolutions(self) -> list[Tensor]:
        """The real weights of its convolutions, in order, without gradient."""
        return [module.latent.detach() for module in self.network.modules() if isinstance(module, RealWeight) and module.latent.dim() == 4]
