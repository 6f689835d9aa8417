"""`bwnhw.exact` and `bwnhw.rounding` against decimals of 200 digits and brute force."""

from decimal import Decimal, getcontext
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qonnx.custom_op.general.quant import resolve_rounding_mode

from bwnhw.exact import TwoRootsError, root, sign_of_two_roots, surd
from bwnhw.rounding import ROUNDINGS, least_rounding_to, round_exact

getcontext().prec = 200
ratios = st.fractions(-50, 50, max_denominator=60)
radicands = st.fractions(0, 50, max_denominator=60)
surds = st.builds(surd, ratios, ratios, radicands)


def decimal(x):
    return Decimal(x.numerator) / Decimal(x.denominator)


def value(s):
    return decimal(s.u) + decimal(s.v) * decimal(s.c).sqrt()


def sign(x):
    return 0 if abs(x) < Decimal(10) ** -150 else int(x.copy_sign(1) == x) * 2 - 1


@given(surds)
def test_floor_ceiling_sign(s):
    v = value(s)
    if s.rational:
        assert (s.floor(), s.ceil()) == (floor(s.u), ceil(s.u))
    else:
        assert (s.floor(), s.ceil()) == (floor(v), ceil(v))
    assert s.sign() == sign(v)


def test_equal_values_are_equal() -> None:
    """Also by roots that are multiples of each other, after one of them was lost on the way."""
    two, less = root(Fraction(2)), root(Fraction(2, 81))
    assert two / less * less == two and hash(two / less * less) == hash(two)
    assert two != -two and two != less and surd(Fraction(1), Fraction(0), Fraction(0)) != two


@given(ratios, ratios, ratios, ratios, radicands, st.fractions(Fraction(1, 9), 9, max_denominator=9))
def test_arithmetic_with_one_root(u, v, p, q, c, k):
    a, b = surd(u, v, c), surd(p, q, c * k * k)  # roots that are multiples of each other count as one
    for found, wanted in ((a + b, value(a) + value(b)), (a - b, value(a) - value(b)), (a * b, value(a) * value(b))):
        assert sign(value(found) - wanted) == 0
    if b.sign():
        assert sign(value(a / b) - value(a) / value(b)) == 0
        assert (a / b) * b == a
    assert (a < b) == (sign(value(a) - value(b)) < 0) and (a >= b) == (sign(value(a) - value(b)) >= 0)


@given(surds, surds)
def test_the_sign_with_two_roots(a, b):
    assert sign_of_two_roots(a, b) == sign(value(a) - value(b))
    assert sign_of_two_roots(a, a) == 0


def test_perfect_squares_are_rational_and_others_do_not_mix():
    assert root(Fraction(9, 4)) == surd(Fraction(3, 2)) and root(0) == surd(0)
    assert root(8) * root(2) == surd(4)
    with pytest.raises(TwoRootsError):
        root(2) + root(3)
    with pytest.raises(ValueError, match="root"):
        root(-1)


@pytest.mark.parametrize("mode", sorted(ROUNDINGS))
def test_rounding_is_qonnx_rounding(mode):
    values = np.arange(-40, 41) / 8.0
    wanted = resolve_rounding_mode(mode)(values)
    assert [round_exact(Fraction(v), mode) for v in values] == wanted.tolist()


@pytest.mark.parametrize("mode", sorted(ROUNDINGS))
@pytest.mark.parametrize("integer", range(-3, 4))
def test_where_rounding_reaches_an_integer(mode, integer):
    bound, inclusive = least_rounding_to(integer, mode)
    tiny = Fraction(1, 10**9)
    assert (round_exact(bound, mode) >= integer) == inclusive
    assert round_exact(bound + tiny, mode) >= integer > round_exact(bound - tiny, mode)
