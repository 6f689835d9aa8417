"""RBNN (Lin et al., NeurIPS 2020): a rotation brings the weights closer to their signs before the signs are taken.

A filter's n standardised weights w2 are laid out as a matrix X (a x b), a the largest divisor of n with a² ≤ n. With orthogonal R1
(a x a) and R2 (b x b) shared by all filters of a layer, and one trained angle theta per filter that starts at pi / 2,

    w~ = w2 + |sin theta| (R1ᵀ X R2 - w2),   w^ = alpha sgn(w~),   d sgn(w~) / d w~ := k max(0, √2 t - t² |w~|)

with t, k of `binarize.sharpness`. The rotations start at random (Haar) and are brought up to date by three alternations of

    B_i = sgn(R1ᵀ X_i R2);   R1 = V Uᵀ of Σ B_i R2ᵀ X_iᵀ = U S Vᵀ;   R2 = U Vᵀ of Σ X_iᵀ R1 B_i = U S Vᵀ

none of which lowers Σ <B_i, R1ᵀ X_i R2>. Deployed is sgn(w~), computed once: rotations and angles vanish; alpha, one trained number per
output channel, may be negative.

Deviations: the rotations are renewed `renewals` times in a training, at equal distances (the release: once per epoch; the same where
`renewals` is the number of epochs), or only in the first `renew_until` of it: each renewal turns some hundredths of the bits, from which a
short training must recover. The gradient also flows through the rotated part; `detach_rotated` restores the release, where it
doesn't, and the latent gets (1 - |sin theta|) of it: next to nothing at the start. Activations have the frame's slope. **Static
variant**: the release subtracts each image's mean activation before the sign, in inference too; see siman.py for what is done here.
"""

import math

import torch
from torch import Tensor, nn

from bwnhw.models.binarize import sharpness, sign, standardised, training_aware_slope, with_slope
from bwnhw.models.binarizers.base import Binarizer


def factors(count: int) -> tuple[int, int]:
    """(a, b) with a·b = count and a the largest divisor not above √count."""
    a = next(size for size in range(math.isqrt(count), 0, -1) if count % size == 0)
    return a, count // a


def random_rotation(size: int) -> Tensor:
    """An orthogonal (size, size) matrix, Haar distributed: Q of a Gaussian matrix, with the signs that make it unique."""
    q, r = torch.linalg.qr(torch.randn(size, size))
    unique: Tensor = q * sign(r.diagonal())
    return unique


def alternate(x: Tensor, r1: Tensor, r2: Tensor) -> tuple[Tensor, Tensor]:
    """One alternation for X (filters, a, b): the new (R1, R2)."""
    b = sign(r1.T @ x @ r2)
    u, _, vh = torch.linalg.svd((b @ r2.T @ x.mT).sum(0))
    r1 = vh.mT @ u.mT
    u, _, vh = torch.linalg.svd((x.mT @ r1 @ b).sum(0))
    return r1, u @ vh


class Rbnn(Binarizer):
    """Signs of rotated weights."""

    r1: Tensor
    r2: Tensor
    renewed: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        scale: str = "learned-channel",
        renewals: int = 100,
        renew_until: float = 1.0,
        detach_rotated: bool = False,
    ) -> None:
        super().__init__(shape, scale)
        self.renewals, self.renew_until, self.detach_rotated = renewals, renew_until, detach_rotated
        self.sharpness = sharpness(0.0)
        a, b = factors(math.prod(shape[1:]))
        self.register_buffer("r1", random_rotation(a))
        self.register_buffer("r2", random_rotation(b))
        self.register_buffer("renewed", torch.tensor(0))
        self.theta = nn.Parameter(torch.full((shape[0], *(1,) * (len(shape) - 1)), math.pi / 2))

    def advance(self, progress: float) -> None:
        """Sharpen the slope; renew the rotations when it is time."""
        self.sharpness = sharpness(progress)
        if progress <= self.renew_until and progress * self.renewals >= self.renewed:
            self.renew()
            self.renewed += 1

    @torch.no_grad()
    def renew(self) -> None:
        """Three alternations on the present weights."""
        x = standardised(self.latent).reshape(-1, len(self.r1), len(self.r2))
        r1, r2 = self.r1, self.r2
        for _ in range(3):
            r1, r2 = alternate(x, r1, r2)
        self.r1.copy_(r1)
        self.r2.copy_(r2)

    def carrier(self) -> Tensor:
        """w~."""
        w2 = standardised(self.latent)
        rotated = (self.r1.T @ w2.reshape(-1, len(self.r1), len(self.r2)) @ self.r2).reshape(w2.shape)
        if self.detach_rotated:
            rotated = rotated.detach()
        return w2 + self.theta.sin().abs() * (rotated - w2)

    def trained(self) -> Tensor:
        """alpha sgn(w~), with the training-aware slope."""
        carrier = self.carrier()
        return self.scaled(with_slope(carrier, sign(carrier), training_aware_slope(carrier, *self.sharpness)))
