"""group_power against the properties that define it (METHODS 2.7)."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw.models.binarize import sign  # noqa: E402  # after importorskip
from bwnhw.models.binarizers.group_power import GroupPower, power  # noqa: E402

pytestmark = pytest.mark.train

SETTINGS = [(1.0, 1e-2), (0.5, 1e-2), (0.1, 1e-3), (0.0, 1e-4)]
GROUPS = ["filter", "layer", "block"]


def rows(seed, shape=(4, 18)):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def binarizer(**options):
    torch.manual_seed(0)
    return GroupPower((4, 2, 3, 3), **options).double()


@pytest.mark.parametrize(("kappa", "delta"), SETTINGS)
def test_a_positive_factor_per_group_changes_nothing(kappa, delta):
    w = rows(0)
    factors = torch.tensor([[1e-3], [0.5], [2.0], [300.0]], dtype=torch.float64)
    assert torch.allclose(power(w * factors, kappa, delta), power(w, kappa, delta), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("kappa", "delta"), SETTINGS)
def test_the_gradient_is_orthogonal_to_the_weights(kappa, delta):
    w = rows(1).requires_grad_()
    (power(w, kappa, delta) * rows(2)).sum().backward()
    assert w.grad.norm() > 1e-3
    assert torch.allclose((w * w.grad).sum(dim=1), torch.zeros(4, dtype=torch.float64), atol=1e-8)


@pytest.mark.parametrize(("kappa", "delta"), SETTINGS)
def test_the_gradient_is_the_finite_difference(kappa, delta):
    assert torch.autograd.gradcheck(lambda w: power(w, kappa, delta), rows(3).requires_grad_(), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize(("kappa", "delta"), SETTINGS)
def test_odd_and_of_mean_magnitude_one(kappa, delta):
    w = rows(4)
    assert torch.equal(power(-w, kappa, delta), -power(w, kappa, delta))
    assert torch.allclose(power(w, kappa, delta).abs().mean(dim=1), torch.ones(4, dtype=torch.float64), rtol=1e-12)


@pytest.mark.parametrize(("kappa", "delta"), SETTINGS)
def test_rounding_changes_no_sign(kappa, delta):
    w = rows(5)
    assert torch.equal(sign(power(w, kappa, delta)), sign(w))


def test_limits():
    w = rows(6)
    assert torch.allclose(power(w, 1.0, 0.3), w / w.abs().mean(dim=1, keepdim=True), rtol=1e-12)
    assert torch.allclose(power(w, 1e-9, 1e-18), sign(w), atol=1e-6)


def test_gap_of_normal_weights_at_the_end_of_the_schedule():
    w = rows(7, (200, 576))
    assert (power(w, 0.0, 1e-4) - sign(w)).abs().mean() < 0.02
    assert (power(w, 0.0, 1e-2) - sign(w)).abs().mean() > 0.05


def test_groups():
    spread = torch.tensor([[1.0], [10.0], [100.0], [1000.0]], dtype=torch.float64)
    w = rows(8) * spread
    latent = w.reshape(4, 2, 3, 3)
    made = {}
    for group in GROUPS:
        method = binarizer(group=group, block=5)
        method.latent.data.copy_(latent)
        made[group] = method.transformed().reshape(4, 18)
    assert torch.equal(made["filter"], power(w, 1.0, 1e-2))
    assert torch.equal(made["layer"], power(w.reshape(1, -1), 1.0, 1e-2).reshape(4, 18))
    assert torch.equal(made["block"][:, 5:10], power(w[:, 5:10], 1.0, 1e-2))
    assert torch.equal(made["block"][:, 15:], power(w[:, 15:], 1.0, 1e-2))


def test_schedule():
    method = binarizer()
    expected = {0.0: (1.0, 1e-2), 0.4: (0.5, 1e-3), 0.8: (0.0, 1e-4), 0.99: (0.0, 1e-4)}
    for progress, (kappa, delta) in expected.items():
        method.advance(progress)
        assert (method.kappa, method.delta) == pytest.approx((kappa, delta), abs=1e-12)


@pytest.mark.parametrize("group", GROUPS)
def test_deployed_are_the_signs(group):
    method = binarizer(group=group)
    method.latent.data[0, 0, 0, 0] = 0
    bits, scale = method.export_bits()
    assert np.array_equal(bits, np.where(method.latent.detach().numpy() >= 0, 1, -1))
    assert scale.tolist() == [[[[1]]]]
    assert torch.equal(method.eval()(), torch.from_numpy(bits))


def test_the_gap_falls_along_the_schedule():
    method = binarizer()
    gaps = []
    for progress in (0.0, 0.4, 0.8):
        method.advance(progress)
        gaps.append(method.binarity_gap())
    assert gaps[0] > gaps[1] > gaps[2] and gaps[0] > 0.3


@pytest.mark.parametrize("options", [{"group": "rows"}, {"scale": "big"}, {"anneal": 0.0}, {"kappa": 1.5}, {"delta": 0.0}, {"block": 0}])
def test_options_that_mean_nothing(options):
    with pytest.raises(ValueError, match="anneal|kappa|delta|block|Group|Scale"):
        GroupPower((2, 9), **options)
