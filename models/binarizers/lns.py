"""LNS (Han et al., ICML 2020): the weights of a filter are binarised together by a small trained network, supervised by noisy signs.

    z = f(w) = v + MLP(v),  v = w / deviation,  MLP = two dense layers with a ReLU between, shared by the filters of a layer
    w^ = alpha sgn(z), identity gradient to z

For the first `warm_up` of all steps the MLP gives 0 and weights train as plain signs. The signs then reached are the noisy targets of the
loss `lns` (losses/lns.py), and latent and MLP train together. Deployed is sgn(z), evaluated once; it may differ from sgn(w).

The authors' code isn't public and the mapping network, rates and weights of the loss aren't known to us: this is a derived form, not
claimed to be the paper's algorithm. `hidden` and `warm_up` are this project's choice; so is one training in place of a pretrained net.
"""

import math

import torch
from torch import Tensor, nn

from bwnhw.models.binarize import sign
from bwnhw.models.binarizers.base import Binarizer


class Lns(Binarizer):
    """`hidden` is the width of the MLP, whose last layer starts at 0."""

    targets: Tensor
    supervised: Tensor

    def __init__(self, shape: tuple[int, ...], scale: str = "none", hidden: int = 64, warm_up: float = 0.5) -> None:
        super().__init__(shape, scale)
        self.warm_up = warm_up
        width = math.prod(shape[1:])
        self.enter, self.leave = nn.Linear(width, hidden), nn.Linear(hidden, width)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.register_buffer("targets", torch.zeros(shape))
        self.register_buffer("supervised", torch.tensor(False))

    def advance(self, progress: float) -> None:
        """Keep the present signs as targets when the warm-up ends."""
        if progress >= self.warm_up and not self.supervised:
            self.targets.copy_(sign(self.latent.detach()))
            self.supervised.fill_(True)

    def carrier(self) -> Tensor:
        """z."""
        flat = self.latent.flatten(1)
        v = flat / (flat.std(dim=1, correction=0, keepdim=True) + 1e-5)
        if self.supervised:
            v = v + self.leave(self.enter(v).relu())
        return v.reshape(self.latent.shape)
