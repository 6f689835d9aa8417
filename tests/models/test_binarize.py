"""Quantisers, forward and backward, against values worked out by hand; the two properties of METHODS 1.7 and 2.1."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  # after importorskip

from bwnhw.models.binarize import ScaleMode, Surrogate, binarise, quantise_unsigned, sign, weight_scale  # noqa: E402

pytestmark = pytest.mark.train

X = [-2.0, -1.0, -0.5, -0.0, 0.0, 0.25, 1.0, 1.5]


def test_sign_of_zero_is_plus_one():
    assert sign(torch.tensor(X)).tolist() == [-1, -1, -1, 1, 1, 1, 1, 1]


def test_sign_keeps_dtype():
    assert sign(torch.tensor([-1.0], dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize(("surrogate", "slopes"), [
    (Surrogate.IDENTITY, [1, 1, 1, 1, 1, 1, 1, 1]),
    (Surrogate.HARDTANH, [0, 1, 1, 1, 1, 1, 1, 0]),
    (Surrogate.BIREAL, [0, 0, 1, 2, 2, 1.5, 0, 0]),
])
def test_binarise(surrogate, slopes):
    x = torch.tensor(X, requires_grad=True)
    y = binarise(x, surrogate)
    y.backward(torch.full_like(x, 3.0))
    assert y.tolist() == sign(x).tolist()
    assert x.grad.tolist() == [3 * slope for slope in slopes]


def test_quantise_unsigned_rounds_half_to_even_and_clips():
    x = torch.tensor([-1.0, -0.1, 0.0, 0.25, 0.75, 1.25, 1.5, 1.6, 9.0], requires_grad=True)
    y = quantise_unsigned(x, torch.tensor(0.5), 2)
    y.sum().backward()
    assert y.tolist() == [0, 0, 0, 0, 1, 1, 1.5, 1.5, 1.5]  # 0.25 and 1.25 are ties: codes 0.5 -> 0, 1.5 -> 2, 2.5 -> 2
    assert x.grad.tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]


def latent(seed, shape=(5, 3, 3, 3)):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_channel_scale_is_the_least_squares_optimum(seed, factor):
    w = latent(seed)
    alpha = weight_scale(w, ScaleMode.CHANNEL)

    def errors(scale):
        return ((w - scale * sign(w)) ** 2).sum(dim=(1, 2, 3))

    assert alpha.shape == (5, 1, 1, 1)
    assert (errors(alpha * factor) > errors(alpha)).all()


def test_scales_of_the_other_modes():
    w = latent(0)
    assert weight_scale(w, ScaleMode.NONE).tolist() == [[[[1.0]]]]
    for mode in (ScaleMode.LAYER, ScaleMode.LEARNED):
        assert weight_scale(w, mode).item() == w.abs().mean().item()


def test_scale_in_front_of_a_batch_norm_only_rescales_the_gradient():
    """METHODS 1.7: outputs equal, gradients with respect to α·b in ratio 7."""
    torch.manual_seed(0)
    x = torch.randn(64, 20, dtype=torch.float64)
    target = torch.randn(64, 6, dtype=torch.float64)
    bits = sign(torch.randn(6, 20, dtype=torch.float64))
    results = []
    for alpha in (1.0, 7.0):
        weights = (alpha * bits).requires_grad_()
        y = nn.BatchNorm1d(6, eps=1e-12, dtype=torch.float64)(x @ weights.T)
        (y * target).sum().backward()
        results.append((y.detach(), weights.grad))
    (y_1, grad_1), (y_7, grad_7) = results
    assert torch.allclose(y_1, y_7, atol=1e-5, rtol=0)
    assert torch.allclose(grad_1, 7 * grad_7, rtol=1e-6, atol=1e-9)
