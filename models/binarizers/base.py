"""What every training method of weights is: latent real weights, what the forward pass sees of them, and the bits that are exported."""

from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bwnhw.models.binarize import ScaleMode, Surrogate, binarise, sign, weight_scale


class Binarizer(nn.Module):
    """Latent weights of shape (out, in) or (out, in, kh, kw), seen in training as scale · sign(carrier).

    Calling it gives the weights of the forward pass: `trained()` in training mode, scale · bits in eval mode, which is what
    `export_bits` writes. A method overrides `carrier` (the real tensor whose sign is the bit; a codebook wrapped around a method
    quantises it) or `trained`, and where it has a schedule, `advance`. Options are typed keyword arguments of `__init__`: a
    recipe's table [binarizer] is checked against that signature.

    The training loop calls, per step and in this order: advance(progress), forward, backward, before_step(), the gradient hooks,
    the optimizer, after_step(). The latent is drawn from N(0, 2 / fan_in) (He's rule).
    """

    surrogate: ClassVar[Surrogate] = Surrogate.IDENTITY  # d bit / d carrier in the backward pass
    reestimate_batch_norm: ClassVar[bool] = False  # deployed weights differ from trained ones: new statistics
    latent: nn.Parameter

    def __init__(self, shape: tuple[int, ...], scale: str = "none") -> None:
        super().__init__()
        self.mode = ScaleMode(scale)
        self.latent = nn.Parameter(torch.empty(shape))
        nn.init.kaiming_normal_(self.latent)
        initial = weight_scale(self.latent, self.mode)
        learned = self.mode in (ScaleMode.LEARNED, ScaleMode.LEARNED_CHANNEL)
        self.learned_scale = nn.Parameter(initial) if learned else None

    def carrier(self) -> Tensor:
        """The real tensor whose sign is the bit, differentiable in the latent; shape of the latent."""
        return self.latent

    def bits(self) -> Tensor:
        """±1, shape of the latent, without gradient: the weights that are deployed."""
        with torch.no_grad():
            return sign(self.carrier())

    def scale(self) -> Tensor:
        """What the bits are multiplied by, shape (1, 1, ...) or (out, 1, ...)."""
        return weight_scale(self.latent, self.mode) if self.learned_scale is None else self.learned_scale

    def trained(self) -> Tensor:
        """The weights of the forward pass in training, with the method's gradient; shape of the latent."""
        return self.scaled(binarise(self.carrier(), self.surrogate))

    def scaled(self, weights: Tensor) -> Tensor:
        """scale · weights, without a multiplication where the scale is none."""
        return weights if self.mode is ScaleMode.NONE else self.scale() * weights

    def forward(self) -> Tensor:
        """`trained()` in training, scale · bits else."""
        return self.trained() if self.training else self.scaled(self.bits())

    def advance(self, progress: float) -> None:
        """Set the schedule: `progress` in [0, 1) is the share of all steps already made."""

    def before_step(self) -> None:
        """After the backward pass, before hooks and optimizer: where a proximal method moves the latent."""

    def after_step(self) -> None:
        """After the optimizer: where a latent is clipped."""

    def export_bits(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The ±1 weights and their scale, which broadcasts to them: what inference uses."""
        bits, scale = self.bits(), self.scale().detach()
        return cast(NDArray[np.float32], bits.cpu().numpy()), cast(NDArray[np.float32], scale.cpu().numpy())


def clip_(latent: Tensor) -> None:
    """Bring a latent back into [-1, 1] in place (BinaryConnect's rule), so that no weight moves out of the reach of a flip."""
    with torch.no_grad():
        latent.clamp_(-1, 1)
