"""ProxConnect++: the criterion over known pairs, sign-Swish, and the equivalence with ProxConnect (METHODS 2.9)."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw.models.binarize import Surrogate, binarise, sign, sign_swish_slope, with_slope  # noqa: E402  # after importorskip
from bwnhw.models.binarizers.proxconnectpp import (  # noqa: E402
    BiReal,
    Bnn,
    BnnPlus,
    BnnPlusPlus,
    PolyPlusPlus,
    compatible,
    polynomial,
    polynomial_slope,
    sign_swish,
)
from bwnhw.models.binarizers.proximal import piecewise_linear  # noqa: E402
from bwnhw.models.binarizers.ste import Ste  # noqa: E402

pytestmark = pytest.mark.train

MU = 5.0
GRID = torch.linspace(-3, 3, 1200, dtype=torch.float64)


def one(x):
    return torch.ones_like(x)


def inside(x):
    return (x.abs() <= 1).to(x.dtype)


def swish(x):
    return sign_swish(x, MU)


def swish_slope(x):
    return sign_swish_slope(x, MU)


@pytest.mark.parametrize(("forward", "backward", "expected"), [
    pytest.param(lambda x: x, one, True, id="real"),
    pytest.param(sign, one, True, id="bc"),
    pytest.param(lambda x: piecewise_linear(x, 0.3, 0.2), one, True, id="pc"),
    pytest.param(lambda x: piecewise_linear(x, 0, 0), one, True, id="pc-hardtanh"),
    pytest.param(sign, inside, False, id="bnn"),
    pytest.param(sign, polynomial_slope, False, id="bi-real"),
    pytest.param(sign, swish_slope, False, id="bnn+"),
    pytest.param(swish, swish_slope, True, id="bnn++"),
    pytest.param(polynomial, polynomial_slope, True, id="poly++"),
    pytest.param(lambda x: -x, one, False, id="falling"),
    pytest.param(lambda x: x, inside, False, id="moves-without-gradient"),
])
def test_compatible(forward, backward, expected):
    assert compatible(forward, backward) is expected


def test_bnn_is_compatible_where_latents_are_clipped():
    assert compatible(sign, inside, -1.0, 1.0)


def test_clipped_bnn_is_binaryconnect_bit_for_bit():
    latents = [trajectory(kind) for kind in (Ste, Bnn)]
    assert torch.equal(*latents)


def trajectory(kind):
    torch.manual_seed(0)
    method = kind((4, 9))
    optimizer = torch.optim.SGD(method.parameters(), lr=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        (method() * torch.randn(4, 9)).sum().backward()
        optimizer.step()
        method.after_step()
    return method.latent.detach()


def test_facts_about_sign_swish():
    top = torch.tensor([2.39936 / MU], dtype=torch.float64)
    assert sign_swish(top, MU).item() == pytest.approx(1.19968, abs=1e-5)
    assert abs(sign_swish_slope(top, MU).item()) < 1e-4
    assert sign_swish_slope(torch.zeros(1), MU).item() == MU
    assert (sign_swish_slope(GRID[GRID.abs() > 2.5 / MU], MU) < 0).all()
    assert torch.allclose(sign_swish(-GRID, MU), -sign_swish(GRID, MU), atol=1e-14)


def test_sign_swish_slope_is_the_derivative():
    x = GRID.clone().requires_grad_()
    sign_swish(x, MU).sum().backward()
    assert torch.allclose(x.grad, sign_swish_slope(GRID, MU), atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: sign_swish(x, MU), torch.randn(20, dtype=torch.float64).requires_grad_())


def test_sign_swish_tends_to_the_sign():
    x = GRID[GRID.abs() > 0.1]
    assert (sign_swish(x, 200.0) - sign(x)).abs().max() < 1e-3
    assert (sign_swish(x, 10.0) - sign(x)).abs().max() > 1e-3
    large = torch.tensor([-1e4, 1e4])
    assert sign_swish(large, 100.0).tolist() == [-1, 1] and sign_swish_slope(large, 100.0).tolist() == [0, 0]


def test_the_surrogate_of_activations():
    x = torch.tensor([-1.0, 0.0, 0.2], requires_grad=True)
    binarise(x, Surrogate.SIGN_SWISH).sum().backward()
    assert torch.equal(x.grad, sign_swish_slope(x.detach(), 5.0))


def test_polynomial_and_its_slope():
    x = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 3.0], dtype=torch.float64)
    assert polynomial(x).tolist() == [-1, -1, -0.75, 0, 0.4375, 1, 1]
    assert polynomial_slope(x).tolist() == [0, 0, 1, 2, 1.5, 0, 0]


def made(kind, **options):
    torch.manual_seed(0)
    return kind((4, 9), **options).double()


def test_the_gradient_of_bnnplusplus_is_autograds():
    method = made(BnnPlusPlus, scale="channel")
    method.advance(0.3)
    upstream = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 9)))
    (method() * upstream).sum().backward()
    latent = method.latent.detach().clone().requires_grad_()
    weights = method.scale() * sign_swish(latent, method.mu())
    (weights * upstream).sum().backward()
    assert torch.equal(weights, method())
    assert torch.allclose(method.latent.grad, latent.grad, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_polyplusplus_is_autograds():
    method = made(PolyPlusPlus)
    method.advance(0.3)
    (method() * method.latent.detach()).sum().backward()
    latent = method.latent.detach().clone().requires_grad_()
    (polynomial(method.mu() * latent) * latent.detach()).sum().backward()
    assert torch.allclose(method.latent.grad, latent.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("outer", "slope"), [(swish, swish_slope), (torch.sin, torch.cos), (lambda x: x**3 + x, lambda x: 3 * x**2 + 1)])
def test_the_pair_steps_as_proxconnect_on_the_composed_loss(outer, slope):
    """F = T(P), B = T'(P) against P with gradient 1 in front of T, quadratic loss, 100 steps."""
    rng = np.random.default_rng(0)
    start, target = torch.from_numpy(rng.normal(size=12)), torch.from_numpy(rng.normal(size=12))
    root = torch.from_numpy(rng.normal(size=(12, 12)))

    def loss(weights):
        return (root @ (weights - target)).square().mean()

    pair, composed = start.clone().requires_grad_(), start.clone().requires_grad_()
    for step in range(100):
        soft = piecewise_linear(pair.detach(), 0.01 * step, 0.005 * step)
        loss(with_slope(pair, outer(soft), slope(soft))).backward()
        inner = piecewise_linear(composed.detach(), 0.01 * step, 0.005 * step)
        loss(outer(with_slope(composed, inner, one(inner)))).backward()
        with torch.no_grad():
            for latent in (pair, composed):
                latent -= 0.002 * latent.grad
                latent.grad = None
        assert torch.allclose(pair, composed, rtol=0, atol=1e-12)
    assert (pair - start).abs().max() > 0.03


def test_steepness_grows_in_units_of_the_spread():
    method = made(BnnPlusPlus, freeze=0.8, steepness=2.0, steepness_end=10.0)
    method.advance(0.4)
    assert method.mu().item() == pytest.approx(6 / method.latent.std().item())
    method.advance(0.79)
    assert not method.frozen and not torch.equal(method(), method.bits())
    method.advance(0.8)
    assert torch.equal(method(), method.bits())
    assert not method().requires_grad


def test_bnnplus_pulls_towards_its_scale():
    method = made(BnnPlus, scale="learned", pull=0.25)
    method.latent.grad, method.learned_scale.grad = torch.zeros_like(method.latent), torch.zeros_like(method.learned_scale)
    method.before_step()
    below = method.latent.abs() < method.learned_scale
    expected = torch.where(below, -0.25, 0.25) * sign(method.latent)
    assert torch.equal(method.latent.grad, expected.detach())
    assert method.learned_scale.grad.item() == 0.25 * (below.sum() - (~below).sum()).item()


def test_bnnplus_backward_is_sign_swishs():
    method = made(BnnPlus)
    method().sum().backward()
    assert torch.equal(method(), method.bits())
    assert torch.equal(method.latent.grad, sign_swish_slope(method.latent.detach(), 5.0))


@pytest.mark.parametrize("kind", [Bnn, BiReal, BnnPlus, BnnPlusPlus, PolyPlusPlus])
def test_deployed_are_the_signs(kind):
    method = made(kind)
    method.latent.data[0, 0] = 0
    bits, scale = method.export_bits()
    assert np.array_equal(bits, np.where(method.latent.detach().numpy() >= 0, 1, -1))
    assert scale.tolist() == [[1]]
    assert np.array_equal(method.eval()().detach().numpy(), bits)


def test_options_that_mean_nothing():
    with pytest.raises(ValueError, match="steepness"):
        BnnPlusPlus((2, 9), steepness=0.0)
