"""ProxConnect++ (Lu et al. 2023): methods as pairs of a forward map F and a backward map B, and which pairs have a theory.

    w = F(latent),    latent ← latent - η · B(latent) · g(w)

with g the gradient of the loss at w. A pair is compatible when F = T(P) and B = T'(P) with P the proximal map of some function
(monotone) and T smooth: then the step is ProxConnect's on the loss after T, whose convergence is known. Here stand

    bnn      F = sign, B = 1 where |x| ≤ 1          (Courbariaux et al. 2016)          compatible on [-1, 1] only, where it is BinaryConnect
    bi-real  F = sign, B = max(0, 2 - 2|x|)         (Liu et al. 2018, there on activations)                not compatible
    bnn+     F = sign, B = SS'                      (Darabi et al. 2018)                                   not compatible
    bnn++    F = SS,   B = SS'                      (Lu et al. 2023)                                       compatible, P = x
    poly++   F = x(2 - |x|), B = max(0, 2 - 2|x|)   (the same repair of bi-real)                           compatible, P = x on [-1, 1]

    SS(x) = 2 S(μx) (1 + μx (1 - S(μx))) - 1 with S the logistic function: sign-Swish, which overshoots 1 (1.19968 at μx = 2.39936)

The papers' schedules of μ, their tables and their vision transformers' sizes are unknown to us, so no file here claims to be their
exact algorithm. Ours: μ grows linearly over the steps before the freeze; then hard signs, frozen. Deployed is always sign(latent).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from bwnhw.models.binarize import Surrogate, sign_swish_slope, with_slope
from bwnhw.models.binarizers.freezing import Freezing
from bwnhw.models.binarizers.ste import Ste

Map = Callable[[Tensor], Tensor]


def sign_swish(x: Tensor, mu: float | Tensor) -> Tensor:
    """SS with steepness μ, any shape; tends to sign(x) as μ grows; `binarize.sign_swish_slope` is its derivative."""
    scaled = mu * x
    logistic = scaled.sigmoid()
    return 2 * logistic * (1 + scaled * (1 - logistic)) - 1


def polynomial(x: Tensor) -> Tensor:
    """x(2 - |x|) with x clipped to [-1, 1]: an odd parabola from -1 to 1, any shape."""
    inside = x.clamp(-1, 1)
    return inside * (2 - inside.abs())


def polynomial_slope(x: Tensor) -> Tensor:
    """Its derivative max(0, 2 - 2|x|), which is Bi-Real's backward map."""
    return (2 - 2 * x.abs()).clamp(min=0)


_NODES = (0.5 - 15**0.5 / 10, 0.5, 0.5 + 15**0.5 / 10)  # Gauss-Legendre on [0, 1], of order 6, with weights 5/18, 8/18, 5/18


def compatible(forward: Map, backward: Map, low: float = -3.0, high: float = 3.0, cells: int = 6001, tolerance: float = 1e-9) -> bool:
    """Whether (F, B) satisfies ProxConnect++'s criterion on a grid over [low, high], in float64.

    From dF = B dP the only candidate is P(x) = ∫ dF / B, with dP = 0 where dF and B both vanish. The pair is compatible iff P doesn't
    fall, is finite, and F and B are constant wherever P is. A grid can miss what happens inside a cell or two.
    """
    x = torch.linspace(low, high, cells + 1, dtype=torch.float64)
    width = (high - low) / cells
    inner = [backward(x[:-1] + node * width) for node in _NODES]
    mean = (5 * inner[0] + 8 * inner[1] + 5 * inner[2]) / 18
    moved = forward(x).diff()
    flat = moved.abs() <= tolerance * width
    if bool((mean[~flat] == 0).any()) or bool((moved[~flat] / mean[~flat] < 0).any()):
        return False
    together = flat[1:] & flat[:-1]  # two neighbours of one plateau of P; a single flat cell may be an extremum of F
    return not bool((together & ((mean[1:] - mean[:-1]).abs() > 1e-6)).any())


class Bnn(Ste):
    """BNN: sign with the clipped straight-through gradient. With `clip` it equals ste bit for bit, but in the first step
    where latents begin beyond ±1.
    """

    surrogate = Surrogate.HARDTANH


class BiReal(Ste):
    """Bi-Real's polynomial slope, applied to weights. A latent clipped to ±1 gets no gradient and stays: hence no `clip` by default."""

    surrogate = Surrogate.BIREAL

    def __init__(self, shape: tuple[int, ...], scale: str = "none", clip: bool = False) -> None:
        super().__init__(shape, scale, clip)


class BnnPlus(Ste):
    """BNN+: sign forward, SS' backward, and a pull of the latents towards ±scale.

    The pull is the regulariser `pull` · Σ |α - |latent||, whose exact gradient is added before the hooks, to a learned scale too. In
    the paper α is trained: `scale="learned"`. `steepness` is μ, 5 as in public code; `pull` is this project's choice.
    """

    def __init__(self, shape: tuple[int, ...], scale: str = "none", clip: bool = True, steepness: float = 5.0, pull: float = 1e-6) -> None:
        super().__init__(shape, scale, clip)
        self.steepness, self.pull = steepness, pull

    def trained(self) -> Tensor:
        """scale · sign, with SS' as gradient."""
        return self.scaled(with_slope(self.latent, self.bits(), sign_swish_slope(self.latent, self.steepness)))

    def before_step(self) -> None:
        """Add the regulariser's gradient."""
        if self.pull:
            distance = (self.scale() - self.latent.abs()).abs().sum()
            (self.pull * distance).backward()  # type: ignore[no-untyped-call]  # torch leaves backward() untyped


class _Steepening(Freezing):
    """F(μ · latent) with μ from `steepness` to `steepness_end`, in units of 1 / (standard deviation of the layer's latents)."""

    def __init__(self, shape: tuple[int, ...], scale: str, freeze: float, steepness: float, steepness_end: float) -> None:
        if not 0 < steepness <= steepness_end:
            raise ValueError(f"expected 0 < steepness <= steepness_end, found {steepness} and {steepness_end}")
        super().__init__(shape, scale, freeze)
        self.range = (steepness, steepness_end)
        self.steepness = steepness

    def advance(self, progress: float) -> None:
        """Set μ."""
        super().advance(progress)
        start, end = self.range
        self.steepness = start + (end - start) * self.share(progress)

    def mu(self) -> Tensor:
        """The present μ, a scalar without gradient."""
        return self.steepness / self.latent.detach().std()


class BnnPlusPlus(_Steepening):
    """BNN++: SS forward and SS' backward while μ grows, then hard signs, frozen. The schedule of μ is this project's."""

    def __init__(
        self, shape: tuple[int, ...], scale: str = "none", freeze: float = 0.9, steepness: float = 5.0, steepness_end: float = 100.0
    ) -> None:
        super().__init__(shape, scale, freeze, steepness, steepness_end)

    def moving(self) -> Tensor:
        """scale · SS(latent), with SS' as gradient."""
        mu = self.mu()
        return self.scaled(with_slope(self.latent, sign_swish(self.latent, mu), sign_swish_slope(self.latent, mu)))


class PolyPlusPlus(_Steepening):
    """poly++: the parabola forward and its slope backward, then hard signs, frozen. All numbers are this project's."""

    def __init__(
        self, shape: tuple[int, ...], scale: str = "none", freeze: float = 0.75, steepness: float = 0.3, steepness_end: float = 2.0
    ) -> None:
        super().__init__(shape, scale, freeze, steepness, steepness_end)

    def moving(self) -> Tensor:
        """scale · F(μ · latent), with its derivative as gradient."""
        mu = self.mu()
        x = mu * self.latent.detach()
        return self.scaled(with_slope(self.latent, polynomial(x), mu * polynomial_slope(x)))
