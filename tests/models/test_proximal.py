"""Proximal quantisers: their maps, their schedules, and the update rules that tell them apart (METHODS 2.8)."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw.models.binarize import sign  # noqa: E402  # after importorskip
from bwnhw.models.binarizers.proximal import (  # noqa: E402
    Parq,
    ProxConnect,
    ProxQuant,
    ReverseProxConnect,
    annealed_clip,
    mirrored_sigmoid,
    piecewise_linear,
    towards_signs,
)
from bwnhw.models.binarizers.ste import Ste  # noqa: E402

pytestmark = pytest.mark.train

GRID = torch.linspace(-3, 3, 1200, dtype=torch.float64)  # without 0
MAPS = [
    *(lambda x, r=r, v=v: piecewise_linear(x, r, v) for r in (0, 0.3, 1, 4) for v in (0, 0.3, 1, 4)),
    *(lambda x, s=s: annealed_clip(x, s) for s in (1.0, 0.3, 0.0)),
]


def made(kind, **options):
    torch.manual_seed(0)
    return kind((6, 20), **options).double()


def steps(method, count=50, rate=0.3):
    """The latents after a training on a linear target whose every number is fixed."""
    rng = np.random.default_rng(0)
    bias = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([*method.parameters(), bias], lr=rate, momentum=0.9)
    target = torch.from_numpy(rng.choice([-1.0, 1.0], size=(6, 20)))
    latents = []
    for step in range(count):
        method.advance(step / count)
        x = torch.from_numpy(rng.normal(size=(32, 20)))
        loss = (x @ (method() - target).T + bias).square().mean()
        optimizer.zero_grad()
        loss.backward()
        method.before_step()
        optimizer.step()
        method.after_step()
        latents.append(method.latent.detach().clone())
    return latents


@pytest.mark.parametrize("index", range(len(MAPS)))
def test_maps_are_odd_monotone_and_within_one(index):
    y = MAPS[index](GRID)
    assert torch.equal(y, -y.flip(0))
    assert (y.diff() >= 0).all()
    assert y.abs().max() <= 1


def test_limits_of_the_piecewise_linear_map():
    assert torch.allclose(piecewise_linear(GRID, 0, 0), GRID.clamp(-1, 1), rtol=1e-15)
    for r, v in [(1, 0), (0, 1), (7, 0.2), (0.2, 7)]:
        assert torch.equal(piecewise_linear(GRID, r, v), sign(GRID))
    assert piecewise_linear(torch.zeros(1), 1, 1).item() == 1
    half = piecewise_linear(torch.tensor([0.25, -0.25, 0.5, 0.9]), 0.5, 0.2)  # 0.2 + 0.8 * 0.25 / 0.5
    assert half.tolist() == pytest.approx([0.6, -0.6, 1, 1])


def test_proxquants_map():
    x = torch.tensor([-2.0, -1.0, -0.95, -0.5, 0.0, 0.5, 1.05, 2.0], dtype=torch.float64)
    assert towards_signs(x, 0.1).tolist() == pytest.approx([-1.9, -1, -1, -0.6, 0.1, 0.6, 1, 1.9])
    assert torch.equal(towards_signs(x, 0.0), x)
    assert torch.equal(towards_signs(x.clamp(-1, 1), 1.0), sign(x))


def test_proxquants_map_is_the_proximal_map():
    """argmin over z of (z - x)² / 2 + λ ||z| - 1|, by brute force."""
    candidates = torch.linspace(-3, 3, 60001, dtype=torch.float64)
    for x in (-1.7, -0.4, 0.3, 0.97, 1.2):
        for strength in (0.05, 0.3):
            cost = (candidates - x).square() / 2 + strength * (candidates.abs() - 1).abs()
            assert towards_signs(torch.tensor([x]).double(), strength).item() == pytest.approx(candidates[cost.argmin()].item(), abs=2e-4)


def test_mirrored_sigmoid():
    values = [mirrored_sigmoid(share, 10, 0.5) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert values[0] == 1 and values[2] == pytest.approx(0.5) and values[4] == 0
    assert values[1] + values[3] == pytest.approx(1)
    assert all(later < earlier for earlier, later in zip(values, values[1:], strict=False))


def test_proxconnect_with_the_sign_is_binaryconnect_bit_for_bit():
    plain, prox = steps(made(Ste)), steps(made(ProxConnect, rho=1.0, rho_end=1.0, freeze=1.0))
    assert all(torch.equal(a, b) for a, b in zip(plain, prox, strict=True))
    other = steps(made(ProxConnect, rho=0.5, rho_end=1.0, freeze=1.0))
    assert not torch.equal(plain[-1], other[-1])


def test_parq_past_its_end_is_binaryconnect_without_a_clip():
    plain, parq = steps(made(Ste, clip=False)), steps(made(Parq, start=-2.0, end=-1.0))
    assert all(torch.equal(a, b) for a, b in zip(plain, parq, strict=True))


def close(a, b):
    return torch.allclose(a, b, rtol=0, atol=1e-14)


def one_step(method, progress, rate=0.1):
    """Latent before, weights of the forward pass, gradient with respect to those, latent after one step of gradient descent."""
    method.advance(progress)
    before, weights = method.latent.detach().clone(), method()
    seen = weights.detach().clone()
    gradient = torch.from_numpy(np.random.default_rng(1).normal(size=(6, 20)))
    (weights * gradient).sum().backward()
    method.before_step()
    torch.optim.SGD(method.parameters(), lr=rate).step()
    method.after_step()
    return before, seen, rate * gradient, method.latent.detach()


def test_the_update_of_proxconnect():
    before, weights, moved, after = one_step(made(ProxConnect, freeze=0.5, clip=False), 0.25)
    soft = piecewise_linear(before, 0.505, 0.505)
    assert torch.equal(weights, soft) and close(after, before - moved)


def test_the_update_of_proxquant():
    before, weights, moved, after = one_step(made(ProxQuant, rate=0.8), 0.25)
    soft = towards_signs(before, 0.2)
    assert torch.equal(weights, soft) and close(after, soft - moved)


def test_the_update_of_reverse_proxconnect():
    before, weights, moved, after = one_step(made(ReverseProxConnect, freeze=0.5, rho=0.0, rho_end=0.6, clip=False), 0.25)
    soft = piecewise_linear(before, 0.3, 0.3)
    assert torch.equal(weights, before) and close(after, soft - moved)


def test_the_update_of_parq():
    before, weights, moved, after = one_step(made(Parq, end=0.5, targets="channel", scale="channel"), 0.25)
    target = before.abs().mean(dim=1, keepdim=True)
    assert torch.allclose(weights, (before / 0.5).clamp(-target, target), rtol=1e-12)
    assert close(after, before - target * moved)


@pytest.mark.parametrize("kind", [ProxConnect, ReverseProxConnect, ProxQuant])
def test_the_last_phase_is_hard_and_frozen(kind):
    method = made(kind)
    latents = steps(method, count=30)
    assert torch.equal(method.train()(), method.eval()())
    assert not torch.equal(latents[0], latents[19])
    assert all(torch.equal(latents[19], latent) for latent in latents[20:])


@pytest.mark.parametrize("kind", [ProxConnect, ReverseProxConnect, ProxQuant, Parq])
def test_deployed_are_the_signs(kind):
    method = made(kind, scale="channel")
    method.latent.data[0, 0] = 0
    bits, scale = method.export_bits()
    assert np.array_equal(bits, np.where(method.latent.detach().numpy() >= 0, 1, -1))
    assert np.allclose(scale, np.abs(method.latent.detach().numpy()).mean(axis=1, keepdims=True))
    assert np.array_equal(method.eval()().detach().numpy(), bits * scale)


@pytest.mark.parametrize(("kind", "options"), [
    (ProxConnect, {"freeze": 0.0}),
    (Parq, {"start": 0.5, "end": 0.5}),
    (Parq, {"targets": "net"}),
])
def test_options_that_mean_nothing(kind, options):
    with pytest.raises(ValueError, match="freeze|end|ScaleMode|targets"):
        kind((2, 9), **options)
