"""Properties of the binarizers biper, siman, rbnn, cmim, lns and direct that METHODS states: exact where they are exact."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bwnhw.models.binarize import ede_slope, sharpness, sign, standardised, training_aware_slope  # noqa: E402  # after importorskip
from bwnhw.models.binarizers import BINARIZERS  # noqa: E402
from bwnhw.models.binarizers.biper import BiPer  # noqa: E402
from bwnhw.models.binarizers.cmim import Cmim  # noqa: E402
from bwnhw.models.binarizers.direct import Direct  # noqa: E402
from bwnhw.models.binarizers.lns import Lns  # noqa: E402
from bwnhw.models.binarizers.rbnn import Rbnn, alternate, factors, random_rotation  # noqa: E402
from bwnhw.models.binarizers.siman import SiMaN  # noqa: E402
from bwnhw.models.layers import CentredSignAct  # noqa: E402

pytestmark = pytest.mark.train

SHAPE = (6, 4, 3, 3)
NAMES = ["biper", "siman", "rbnn", "cmim", "lns", "direct"]


def made(kind, seed=0, shape=SHAPE, **options):
    torch.manual_seed(seed)
    return kind(shape, **options).double()


def gradient(binarizer, upstream):
    binarizer.latent.grad = None
    (binarizer() * upstream).sum().backward()
    return binarizer.latent.grad


def upstream(seed=1, shape=SHAPE):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


# All of them

@pytest.mark.parametrize("shape", [SHAPE, (5, 12)])
@pytest.mark.parametrize("name", NAMES)
def test_deployed_weights_are_scale_times_the_sign_of_the_carrier(name, shape):
    binarizer = made(BINARIZERS[name], shape=shape)
    binarizer.advance(0.9)
    bits, scale = binarizer.export_bits()
    assert set(np.unique(bits)) == {-1.0, 1.0}
    assert np.array_equal(bits, sign(binarizer.carrier().detach()).numpy())
    assert np.array_equal(binarizer.eval()().detach().numpy(), scale * bits)


@pytest.mark.parametrize("name", NAMES)
def test_training_ends_on_the_deployed_weights(name):
    binarizer = made(BINARIZERS[name])
    binarizer.advance(0.99)
    trained = binarizer().detach()
    assert torch.equal(trained, binarizer.eval()().detach())


@pytest.mark.parametrize("name", ["biper", "siman", "rbnn"])
def test_a_negative_learned_scale_turns_the_channel(name):
    binarizer = made(BINARIZERS[name])
    binarizer.advance(0.9)
    assert binarizer.learned_scale.shape == (6, 1, 1, 1)
    before = binarizer.eval()().detach()
    with torch.no_grad():
        binarizer.learned_scale[2] *= -1
    assert torch.equal(binarizer()[2], -before[2]) and torch.equal(binarizer()[3], before[3])


@pytest.mark.parametrize("name", ["biper", "siman", "rbnn", "cmim", "lns"])
def test_a_checkpoint_keeps_the_bits(name):
    first, second = made(BINARIZERS[name]), made(BINARIZERS[name], seed=9)
    first.advance(0.9)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.bits(), second.bits())


# Slopes (METHODS 1.2)

X = torch.linspace(-4, 4, 81, dtype=torch.float64)


def test_sharpness_rises_geometrically():
    assert sharpness(0.0) == pytest.approx((0.01, 100))
    assert sharpness(1.0) == pytest.approx((10, 1))
    assert sharpness(2 / 3) == pytest.approx((1, 1))
    assert sharpness(1 / 3)[0] == pytest.approx(0.1)


@pytest.mark.parametrize("progress", [0.0, 0.4, 0.7, 1.0])
def test_ede_is_the_derivative_of_k_tanh(progress):
    t, k = sharpness(progress)
    x = X.clone().requires_grad_()
    (k * torch.tanh(t * x)).sum().backward()
    assert torch.allclose(ede_slope(X, t, k), x.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("progress", [0.0, 0.4, 0.7, 1.0])
def test_the_training_aware_slope_is_a_triangle(progress):
    t, k = sharpness(progress)
    slope = training_aware_slope(X, t, k)
    assert slope[40].item() == pytest.approx(2**0.5 * k * t)
    outside = X.abs() >= 2**0.5 / t
    assert (slope[outside] == 0).all() and (slope[~outside] > 0).all()
    base = torch.linspace(-(2**0.5) / t, 2**0.5 / t, 100001, dtype=torch.float64)
    assert torch.trapezoid(training_aware_slope(base, t, k), base).item() == pytest.approx(2 * k)  # as high as k times a sign's step


def test_standardised():
    w = standardised(upstream() * 3 + 5, eps=0.0)
    assert torch.allclose(w.mean(dim=(1, 2, 3)), torch.zeros(6, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(w.square().mean(dim=(1, 2, 3)), torch.ones(6, dtype=torch.float64))


# BiPer

@pytest.mark.parametrize("turns", [-3, 1, 2])
def test_biper_is_periodic(turns):
    binarizer = made(BiPer)
    bits = binarizer.bits()
    with torch.no_grad():
        binarizer.latent += turns * 2 * math.pi / binarizer.omega
    assert torch.equal(binarizer.bits(), bits)
    with torch.no_grad():
        binarizer.latent += math.pi / binarizer.omega
    assert torch.equal(binarizer.bits(), -bits)


@pytest.mark.parametrize("progress", [0.0, 0.8])
def test_biper_has_the_sines_gradient_in_both_stages(progress):
    binarizer, g = made(BiPer, scale="none"), upstream()
    binarizer.advance(progress)
    expected = g * 20 * torch.cos(20 * binarizer.latent.detach())
    assert torch.allclose(gradient(binarizer, g), expected, rtol=1e-12)


def test_bipers_stages_agree_in_sign_and_the_exported_bit_is_the_sines():
    binarizer = made(BiPer, scale="none")
    binarizer.advance(0.5)
    first = binarizer().detach()
    binarizer.advance(0.7)
    second = binarizer().detach()
    assert set(second.unique().tolist()) == {-1, 1} and len(first.unique()) > 2
    assert torch.equal(sign(first), second)
    bits, _ = binarizer.export_bits()
    latent = binarizer.latent.detach()
    assert np.array_equal(bits, sign(torch.sin(20 * latent)).numpy())
    assert not np.array_equal(bits, sign(latent).numpy())


def test_bipers_scale_starts_uniform():
    scale = made(BiPer, shape=(4000, 2)).learned_scale.detach()
    assert 0 <= scale.min() and scale.max() <= 1 and abs(scale.mean().item() - 0.5) < 0.02


# SiMaN

@pytest.mark.parametrize("shape", [SHAPE, (7, 1, 3, 3), (3, 25), (4, 6)])
def test_simans_rows_are_balanced(shape):
    bits = made(SiMaN, shape=shape).bits().flatten(1)
    assert ((bits > 0).sum(1) == bits.shape[1] // 2).all()


def test_simans_ones_are_the_largest_magnitudes():
    binarizer = made(SiMaN)
    size, ones = standardised(binarizer.latent.detach()).abs().flatten(1), binarizer.bits().flatten(1) > 0
    for row, chosen in zip(size, ones, strict=True):
        assert row[chosen].min() > row[~chosen].max()
        assert row[~chosen].max() == row.median()  # torch's median of an even number is the lower


@pytest.mark.parametrize("factor", [-1.0, 0.01, 7.0, -3.0])
def test_simans_bits_ignore_sign_and_scale(factor):
    binarizer = made(SiMaN)
    bits = binarizer.bits()
    with torch.no_grad():
        binarizer.latent *= factor
    assert torch.equal(binarizer.bits(), bits)


def test_simans_two_encodings_are_one_sum():
    bits, a = made(SiMaN).bits(), sign(upstream())
    ones = (bits + 1) / 2
    assert torch.equal((bits * a).flatten(1).sum(1), 2 * (ones * a).flatten(1).sum(1) - a.flatten(1).sum(1))


def test_simans_gradient_passes_to_the_magnitudes_unchanged():
    binarizer, g = made(SiMaN, scale="none"), upstream()
    latent = binarizer.latent.detach().clone().requires_grad_()
    (standardised(latent).abs() * g).sum().backward()
    assert torch.allclose(gradient(binarizer, g), latent.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("progress", "percent"), [(0.0, 15), (0.5, 7.5), (0.9, 1.5)])
def test_siman_centres_and_clips(progress, percent):
    binarizer = made(SiMaN)
    with torch.no_grad():
        binarizer.latent += 0.3
    centred = binarizer.latent.detach().numpy() - binarizer.latent.detach().numpy().mean(axis=(1, 2, 3), keepdims=True)
    binarizer.advance(progress)
    low, high = np.percentile(np.abs(centred), [percent, 100 - percent])
    np.testing.assert_allclose(binarizer.latent.detach().numpy(), np.sign(centred) * np.clip(np.abs(centred), low, high), rtol=1e-12)


# RBNN

@pytest.mark.parametrize(("count", "expected"), [(576, (24, 24)), (9, (3, 3)), (288, (16, 18)), (7, (1, 7)), (784, (28, 28)), (1, (1, 1))])
def test_rbnns_factors(count, expected):
    assert factors(count) == expected


def test_rbnns_rotations_stay_orthogonal():
    binarizer = Rbnn((32, 64, 3, 3)).float()
    for progress in (0.0, 0.011, 0.02, 0.5):
        binarizer.advance(progress)
    for rotation in (binarizer.r1, binarizer.r2):
        assert torch.allclose(rotation.T @ rotation, torch.eye(24), atol=1e-5)


def test_rbnns_alternation_never_loses():
    torch.manual_seed(3)
    x = standardised(torch.randn(20, 5, 7, dtype=torch.float64))
    r1, r2 = random_rotation(5).double(), random_rotation(7).double()
    aligned = [(r1.T @ x @ r2).abs().sum()]  # Σ <B, R1ᵀ X R2> with B the signs
    for _ in range(10):
        r1, r2 = alternate(x, r1, r2)
        aligned.append((r1.T @ x @ r2).abs().sum())
    assert all(after >= before - 1e-9 for before, after in zip(aligned, aligned[1:], strict=False))
    assert aligned[-1] > 1.02 * aligned[0]


@pytest.mark.parametrize(("until", "expected"), [(1.0, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]), (0.4, [1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2])])
def test_rbnn_renews_at_equal_distances_and_at_the_start(until, expected):
    binarizer, counts = made(Rbnn, renewals=4, renew_until=until), []
    for step in range(12):
        binarizer.advance(step / 12)
        counts.append(binarizer.renewed.item())
    assert counts == expected


def test_rbnn_exports_the_rotated_sign():
    binarizer = made(Rbnn)
    binarizer.renew()
    w2 = standardised(binarizer.latent.detach())
    rotated = torch.stack([(binarizer.r1.T @ x.reshape(6, 6) @ binarizer.r2).reshape(4, 3, 3) for x in w2])
    bits, _ = binarizer.export_bits()
    assert np.array_equal(bits, sign(rotated).numpy())  # theta is pi / 2
    assert not np.array_equal(bits, sign(w2).numpy())
    with torch.no_grad():
        binarizer.theta.zero_()
    assert torch.equal(binarizer.bits(), sign(w2))


@pytest.mark.parametrize(("theta", "detach"), [(0.4, True), (math.pi / 2, True), (math.pi / 2, False)])
def test_rbnns_gradient(theta, detach):
    """At w2: (1 - |sin theta|) of the sloped gradient in the released form, its rotation back added else."""
    binarizer, g = made(Rbnn, scale="none", detach_rotated=detach), upstream()
    binarizer.sharpness = sharpness(0.3)
    with torch.no_grad():
        binarizer.theta.fill_(theta)
    sloped = g * training_aware_slope(binarizer.carrier().detach(), *sharpness(0.3))
    back = (binarizer.r1 @ sloped.reshape(6, 6, 6) @ binarizer.r2.T).reshape(SHAPE)
    at_w2 = (1 - math.sin(theta)) * sloped + (0 if detach else math.sin(theta)) * back
    latent = binarizer.latent.detach().clone().requires_grad_()
    standardised(latent).backward(at_w2)
    found = gradient(binarizer, g)
    assert torch.allclose(found, latent.grad, rtol=1e-9, atol=1e-12)
    assert (found.norm() < 1e-6 * sloped.norm()) == (detach and theta > 1)  # the release's quirk


# CMIM

@pytest.mark.parametrize("factor", [1e-3, 1.0, 50.0])
def test_cmims_scale_is_a_power_of_two_and_its_bits_are_centred(factor):
    binarizer = made(Cmim)
    with torch.no_grad():
        binarizer.latent.mul_(factor).add_(0.2 * factor)
    bits, scale = binarizer.export_bits()
    assert scale.shape == (6, 1, 1, 1) and (np.frexp(scale)[0] == 0.5).all()
    latent = binarizer.latent.detach().numpy()
    assert np.array_equal(bits, np.where(latent >= latent.mean(axis=(1, 2, 3), keepdims=True), 1, -1))
    assert not np.array_equal(bits, np.where(latent >= 0, 1, -1))


def test_cmims_scale_follows_the_mean_magnitude():
    binarizer = made(Cmim, shape=(1, 400))
    assert binarizer.scale().item() == 1.0  # mean|w2| of a Gaussian is 0.8
    with torch.no_grad():
        binarizer.latent.fill_(1e-3)
        binarizer.latent[0, 0] = 100.0  # one weight far out: mean|w2| = 0.1, and log2 of it -3.3
    assert binarizer.scale().item() == 0.125


def test_cmims_gradient_is_edes():
    binarizer, g = made(Cmim), upstream()
    binarizer.advance(0.6)
    latent = binarizer.latent.detach().clone().requires_grad_()
    w2 = standardised(latent)
    w2.backward(g * binarizer.scale() * ede_slope(w2.detach(), *sharpness(0.6)))
    assert torch.allclose(gradient(binarizer, g), latent.grad, rtol=1e-12, atol=1e-14)


# LNS

def test_lns_starts_as_plain_signs_and_keeps_them_as_targets():
    binarizer = made(Lns, warm_up=0.5)
    binarizer.advance(0.4)
    assert not binarizer.supervised
    assert torch.equal(binarizer.bits(), sign(binarizer.latent.detach()))
    before = binarizer.bits()
    binarizer.advance(0.5)
    assert binarizer.supervised and torch.equal(binarizer.targets, before)
    assert torch.equal(binarizer.bits(), before)  # the mapping starts at w / deviation
    with torch.no_grad():
        binarizer.latent.neg_()
    binarizer.advance(0.6)
    assert torch.equal(binarizer.targets, before)


def test_lns_exports_the_mapped_sign_and_trains_the_mapping():
    binarizer = made(Lns)
    binarizer.advance(0.9)
    torch.nn.init.normal_(binarizer.leave.weight)
    bits, _ = binarizer.export_bits()
    assert np.array_equal(bits, sign(binarizer.carrier().detach()).numpy())
    assert not np.array_equal(bits, sign(binarizer.latent.detach()).numpy())
    gradient(binarizer, upstream())
    assert all(parameter.grad.abs().sum() > 0 for parameter in binarizer.parameters())


# Direct

def test_direct_is_its_own_weight():
    binarizer, g = made(Direct), upstream()
    assert torch.equal(binarizer.latent.abs(), torch.ones_like(binarizer.latent))
    assert torch.equal(gradient(binarizer, g), g)
    assert np.array_equal(binarizer.export_bits()[0], binarizer.latent.detach().numpy())


# The frozen-mean form of RBNN and SiMaN

def test_centred_activations_use_each_images_mean_in_training_and_a_frozen_one_in_inference():
    act, x = CentredSignAct(), torch.randn(5, 3, 4, 4) + torch.tensor([-9.0, -1, 0, 1, 9]).reshape(5, 1, 1, 1)
    assert torch.equal(act(x), sign(x - x.mean(dim=(1, 2, 3), keepdim=True)))
    assert act.mean.item() == pytest.approx(0.1 * x.mean().item(), abs=1e-6)
    act.mean.fill_(2.0)
    assert torch.equal(act.eval()(x), sign(x - 2))
    assert act.mean.item() == 2.0


def test_centred_activations_have_the_slope_of_the_standardised_input():
    x = (3 * torch.randn(4, 8, dtype=torch.float64) + 1).requires_grad_()
    CentredSignAct().double()(x).sum().backward()
    z = x.detach().clone().requires_grad_()
    standardised(z).backward((2 - 2 * standardised(x.detach()).abs()).clamp(min=0))
    assert torch.allclose(x.grad, z.grad)
