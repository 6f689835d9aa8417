"""Bop, Bop2ndOrder and QP-SBGD: METHODS 2.11, 2.14 and 2.15."""

import math

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  # after importorskip

from bwnhw.models.binarize import sign  # noqa: E402
from bwnhw.models.binarizers.direct import Direct  # noqa: E402
from bwnhw.models.binarizers.ste import Ste  # noqa: E402
from bwnhw.models.layers import BinaryLinear  # noqa: E402
from bwnhw.models.optimizers.bop import Bop, Bop2ndOrder  # noqa: E402
from bwnhw.models.optimizers.qp_sbgd import QpSbgd, best_direction, objective  # noqa: E402

pytestmark = pytest.mark.train


def flips(make, gradients, factor=1.0, **options):
    """Steps with the given gradients: which weights stand the other way after each, (steps, weights); and the weights at first."""
    torch.manual_seed(0)
    weights = Direct(tuple(gradients.shape[1:]))
    optimizer, first, found = make(nn.Sequential(weights), **options), weights.latent.detach().clone(), []
    for step, gradient in enumerate(gradients):
        optimizer.advance(step / len(gradients))
        weights.latent.grad = factor * gradient
        optimizer.step()
        assert torch.equal(weights.latent.detach().abs(), torch.ones_like(first))  # they stay in {-1, +1}
        found.append(weights.latent.detach() != first)
    return torch.stack(found), first


def noise(steps=30, shape=(8, 40)):
    torch.manual_seed(5)
    return torch.randn(steps, *shape)


@pytest.mark.parametrize(("make", "tau"), [(Bop, 1e-8), (Bop2ndOrder, 1e-6)])
def test_a_push_against_the_weight_flips_it_and_one_along_never_does(make, tau):
    """A gradient of the weight's own sign means that the loss falls when the weight turns."""
    weights = flips(make, torch.zeros(1, 8, 40))[1]
    options = {"tau": tau} if make is Bop else {"tau": tau, "tau_end": tau}
    assert flips(make, weights[None], **options)[0].all()
    assert not flips(make, -weights[None].expand(20, -1, -1), **options)[0].any()


@pytest.mark.parametrize(("make", "options"), [(Bop, {"tau": math.inf}), (Bop2ndOrder, {"tau": math.inf, "tau_end": math.inf})])
def test_an_infinite_threshold_never_flips(make, options):
    assert not flips(make, noise(), **options)[0].any()


def test_bop_without_memory_or_threshold_flips_where_the_gradient_has_the_weights_sign():
    gradients = noise(1)
    flipped, weights = flips(Bop, gradients, tau=0.0, gamma=1.0)
    assert torch.equal(flipped[0], sign(gradients[0]) == weights)


def test_bops_tie_doesnt_flip():
    weights = flips(Bop, torch.zeros(1, 2, 2))[1]
    assert not flips(Bop, weights[None] * 0.5, tau=0.5, gamma=1.0)[0].any()


def test_bops_average_by_hand():
    """gamma 1/2: m = 1/2, 1/4, -3/8; beyond tau 0.3 the first turns all weights to -1, the last all to +1."""
    g0 = torch.ones(2, 3)
    flipped, weights = flips(Bop, torch.stack([g0, 0 * g0, -g0]), tau=0.3, gamma=0.5, decay=1.0)
    assert torch.equal(flipped[0], weights > 0) and torch.equal(flipped[1], flipped[0])
    assert torch.equal(flipped[2], weights < 0)


def test_bops_gamma_falls_after_each_fifth():
    """One gradient per fifth, opposed to nothing but itself: the last m is what the decayed rates leave."""
    torch.manual_seed(0)
    weights = Direct((1, 1))
    optimizer = Bop(nn.Sequential(weights), tau=math.inf, gamma=0.1, decay=0.5)
    expected = 0.0
    for fifth in range(5):
        optimizer.advance((fifth + 0.5) / 5)
        weights.latent.grad = torch.ones(1, 1)
        optimizer.step()
        rate = 0.1 * 0.5**fifth
        expected = (1 - rate) * expected + rate
    assert optimizer.state[weights.latent]["m"].item() == pytest.approx(expected)


def test_bops_decisions_depend_on_the_gradients_scale():
    plain, scaled = (flips(Bop, noise(), factor, tau=1e-5)[0] for factor in (1.0, 0.01))
    assert not torch.equal(plain, scaled)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("factor", [0.25, 64.0])
def test_bop2s_decisions_dont(factor, unbiased):
    plain, scaled = (flips(Bop2ndOrder, noise(), c, unbiased=unbiased)[0] for c in (1.0, factor))
    assert plain.any() and torch.equal(plain, scaled)  # powers of two: 1e-10 apart, the same numbers


def test_bop2s_first_unbiased_step_is_the_gradients_sign():
    gradients = noise(1)
    flipped, weights = flips(Bop2ndOrder, gradients, unbiased=True, tau=0.999, tau_end=0.999)
    assert torch.equal(flipped[0], sign(gradients[0]) == weights)  # m^ / √v^ = ±1
    assert not flips(Bop2ndOrder, gradients, unbiased=True, tau=1.001, tau_end=1.001)[0].any()


def test_bop2s_biased_step_by_hand():
    gradients = noise(1)
    ratio = 1e-2 / math.sqrt(1e-7)  # gamma g / √(sigma g²) at the first step
    assert flips(Bop2ndOrder, gradients, tau=ratio * 0.999)[0].any()
    assert not flips(Bop2ndOrder, gradients, tau=ratio * 1.001)[0].any()


@pytest.mark.parametrize(("make", "options"), [(Bop, {"tau": -1.0}), (Bop, {"gamma": 0.0}), (Bop2ndOrder, {"sigma_end": 2.0})])
def test_impossible_options(make, options):
    with pytest.raises(ValueError, match="gamma"):
        make(nn.Sequential(Direct((2, 2))), **options)


@pytest.mark.parametrize("make", [Bop, Bop2ndOrder])
def test_bop_needs_direct_weights(make):
    with pytest.raises(ValueError, match="binarizer direct, and the network has none"):
        make(nn.Sequential(Ste((2, 2))))


# QP-SBGD

def problem(width, outputs=5, seed=0, images=40):
    torch.manual_seed(seed)
    a = sign(torch.randn(images, width, dtype=torch.float64))
    return a.T @ a, 30 * torch.randn(outputs, width, dtype=torch.float64)


def test_the_objective_is_the_distance_less_a_constant():
    torch.manual_seed(1)
    a, g = torch.randn(9, 4, dtype=torch.float64), torch.randn(9, dtype=torch.float64)
    for u in (torch.ones(4, dtype=torch.float64), sign(torch.randn(4, dtype=torch.float64))):
        assert objective(u, a.T @ a, g @ a).item() == pytest.approx((a @ u - g).square().sum().item() - g.square().sum().item())


@pytest.mark.parametrize("brute", [0, 12])
def test_a_diagonal_square_gives_sign_sgd(brute):
    _, linear = problem(9)
    square = torch.diag(torch.rand(9, dtype=torch.float64) + 0.1)
    assert torch.equal(best_direction(square, linear, brute), sign(linear))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("width", [8, 40])
def test_never_worse_than_sign_sgd_and_the_best_of_all_where_it_is_tried(width, seed):
    square, linear = problem(width, seed=seed)
    start = objective(sign(linear), square, linear)
    greedy = objective(best_direction(square, linear, 0), square, linear)
    assert (greedy <= start).all() and (greedy < start).any()
    if width == 8:
        every = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 8)
        least = torch.stack([objective(every, square, row.expand(256, -1)).min() for row in linear])
        found = objective(best_direction(square, linear, 12), square, linear)
        assert torch.allclose(found, least, rtol=1e-12) and (found <= greedy + 1e-9).all()


def test_a_greedy_end_is_a_local_minimum():
    square, linear = problem(20)
    u = best_direction(square, linear, 0)
    for bit in range(20):
        other = u.clone()
        other[:, bit] *= -1
        assert (objective(other, square, linear) >= objective(u, square, linear) - 1e-9).all()


def test_one_image_per_input_steps_as_sign_sgd():
    """A = identity: AᵀA is diagonal, so the latent moves by rate · sgn of its gradient."""
    torch.manual_seed(0)
    layer = BinaryLinear(6, 3, Ste)
    optimizer = QpSbgd(nn.Sequential(layer), rate=0.01)
    before, target = layer.weight.latent.detach().clone(), torch.randn(6, 3)
    (layer(torch.eye(6)) * target).sum().backward()
    optimizer.step()
    assert torch.allclose(layer.weight.latent, (before - 0.01 * sign(target.T)).clamp(-1, 1))


def test_it_moves_latents_by_the_rate_and_learns():
    torch.manual_seed(0)
    layer, teacher = BinaryLinear(8, 4, Ste), sign(torch.randn(4, 8))
    with torch.no_grad():
        layer.weight.latent.clamp_(-1, 1)
    optimizer = QpSbgd(nn.Sequential(layer), rate=0.05)
    losses = []
    for _ in range(60):
        x = sign(torch.randn(64, 8))
        before = layer.weight.latent.detach().clone()
        loss = (layer(x) - x @ teacher.T).square().mean()
        loss.backward()
        optimizer.step()
        moved = (layer.weight.latent.detach() - before).abs()
        assert moved.max() <= 0.05 + 1e-6
        losses.append(loss.item())
    assert losses[0] > 1 and losses[-1] < losses[0] / 4


@pytest.mark.parametrize("network", [nn.Sequential(BinaryLinear(65, 3, Ste)), nn.Sequential(nn.Linear(3, 3))])
def test_it_takes_narrow_dense_layers_only(network):
    with pytest.raises(ValueError, match="dense layers of at most 64 inputs"):
        QpSbgd(network)
