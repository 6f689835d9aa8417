"""Activations of layers: what a recipe's `surrogate` and `sample_std` do, and that they change no bit."""

import pytest

torch = pytest.importorskip("torch")

from bwnhw.errors import InputError  # noqa: E402  # after importorskip
from bwnhw.models import methods  # noqa: E402
from bwnhw.models.binarize import Surrogate, sign  # noqa: E402
from bwnhw.models.layers import SignAct  # noqa: E402
from bwnhw.models.recipe import Recipe  # noqa: E402

pytestmark = pytest.mark.train

X = torch.tensor([[0.5, -0.5, 1.5, -1.5], [4.0, -4.0, 12.0, -12.0]])


def slope(activation):
    x = X.clone().requires_grad_()
    y = activation(x)
    y.sum().backward()
    assert torch.equal(y, sign(X))
    return x.grad


def test_sample_std_takes_the_slope_at_the_standardised_activation():
    spread = (X.var(dim=1, keepdim=True) + 1e-5).sqrt()
    expected = (2 - 2 * (X / spread).abs()).clamp(min=0) / spread
    assert torch.allclose(slope(SignAct(sample_std=True)), expected)
    assert torch.equal(slope(SignAct(sample_std=True).eval()), slope(SignAct()))
    assert (slope(SignAct())[1] == 0).all() and (expected[1] > 0).any()


def recipe(**options):
    return Recipe("r", "digits", "digits-conv", 1, 1, 32, 0.01, 1, **options)


def test_a_recipe_sets_them():
    network = methods.network_of(recipe(surrogate="sign-swish", sample_std=True))
    found = [(module.surrogate, module.sample_std) for module in network if isinstance(module, SignAct)]
    assert found == [(Surrogate.SIGN_SWISH, True)] * 3


def test_an_unknown_surrogate_is_refused():
    with pytest.raises(InputError, match="^recipe 'r': expected a surrogate of identity, hardtanh, bireal, sign-swish, found 'tanh'$"):
        methods.check(recipe(surrogate="tanh"))
