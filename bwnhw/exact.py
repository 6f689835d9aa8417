"""Numbers u + v·√c of rationals, computed without rounding: what batch norm's √(var + eps) needs.

Signs are decided by comparing squares, floor and ceiling by integer square roots.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import total_ordering
from math import isqrt, sqrt

Rational = int | Fraction


class TwoRootsError(ArithmeticError):
    """Two different roots met in one expression, which `Surd` can't hold."""


@total_ordering
@dataclass(frozen=True, eq=False)
class Surd:
    """u + v·√c; c ≥ 0 is no rational square, and v = c = 0 where the number is rational. Make them by `surd` or `root`.

    Equal are those of one value: 9·√(2/81) and √2 are.
    """

    u: Fraction
    v: Fraction = Fraction(0)
    c: Fraction = Fraction(0)

    @property
    def rational(self) -> bool:
        """True where there is no root."""
        return not self.v

    def _value(self) -> tuple[Fraction, Fraction]:
        """u, and the square of the rest with its sign."""
        return self.u, _sign(self.v) * self.v * self.v * self.c

    def __eq__(self, other: object) -> bool:
        return self._value() == other._value() if isinstance(other, Surd) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value())

    def __add__(self, other: "Surd | Rational") -> "Surd":
        a, b = _together(self, other)
        return surd(a.u + b.u, a.v + b.v, a.c)

    def __mul__(self, other: "Surd | Rational") -> "Surd":
        a, b = _together(self, other)
        return surd(a.u * b.u + a.v * b.v * a.c, a.u * b.v + a.v * b.u, a.c)

    def __truediv__(self, other: "Surd | Rational") -> "Surd":
        a, b = _together(self, other)
        norm = b.u * b.u - b.v * b.v * b.c  # (u + v√c)(u − v√c); 0 only for 0, since √c is irrational
        return a * surd(b.u / norm, -b.v / norm, b.c)

    def __neg__(self) -> "Surd":
        return Surd(-self.u, -self.v, self.c)

    def __sub__(self, other: "Surd | Rational") -> "Surd":
        return self + -other

    __radd__ = __add__
    __rmul__ = __mul__

    def __lt__(self, other: "Surd | Rational") -> bool:
        return (self - other).sign() < 0

    def __float__(self) -> float:
        return float(self.u) + float(self.v) * sqrt(self.c)

    def sign(self) -> int:
        """−1, 0 or 1."""
        u, v = _sign(self.u), _sign(self.v)
        if u * v >= 0:
            return u or v
        return u if self.u * self.u > self.v * self.v * self.c else v

    def floor(self) -> int:
        """Greatest integer that isn't above."""
        if not self.v:
            return self.u.numerator // self.u.denominator
        # u + v√c = (p ± √r) / d with integers p, d; floor((p + y) / d) = floor((p + floor(y)) / d)
        d = self.u.denominator
        r = self.v * self.v * self.c * d * d
        whole = isqrt(r.numerator // r.denominator)  # floor(√r); √r isn't an integer
        return (self.u.numerator + (whole if self.v > 0 else -whole - 1)) // d

    def ceil(self) -> int:
        """Least integer that isn't below."""
        return -(-self).floor()


def surd(u: Rational, v: Rational = 0, c: Rational = 0) -> Surd:
    """u + v·√c in canonical form; ValueError where c is negative."""
    if c < 0:
        raise ValueError(f"a root of {c} isn't real")
    if v == 0 or c == 0:
        return Surd(Fraction(u))
    whole = _rational_root(Fraction(c))
    if whole is not None:
        return Surd(u + v * whole)
    return Surd(Fraction(u), Fraction(v), Fraction(c))


def root(value: "Surd | Rational") -> Surd:
    """√value of a rational; ValueError where it is negative, TwoRootsError where it has a root itself."""
    if isinstance(value, Surd):
        if not value.rational:
            raise TwoRootsError("a root of a root")
        value = value.u
    return surd(0, 1, value)


def sign_of_two_roots(a: Surd, b: Surd) -> int:
    """Sign of a − b, also where their roots differ: −1, 0 or 1."""
    try:
        return (a - b).sign()
    except TwoRootsError:
        left = surd(0, a.v, a.c)  # a − b = left − right with right = (b.u − a.u) + b.v√b.c
        right = surd(b.u - a.u, b.v, b.c)
        if left.sign() != right.sign():
            return 1 if left.sign() > right.sign() else -1
        return left.sign() * (left * left - right * right).sign()


def _together(a: Surd, b: "Surd | Rational") -> tuple[Surd, Surd]:
    """Both with the same root, where there is one."""
    if not isinstance(b, Surd):
        b = Surd(Fraction(b))
    if a.c == b.c:
        return a, b
    if not b.v:
        return a, Surd(b.u, Fraction(0), a.c)
    if not a.v:
        return Surd(a.u, Fraction(0), b.c), b
    ratio = _rational_root(b.c / a.c)
    if ratio is None:
        raise TwoRootsError(f"√{a.c} and √{b.c} in one expression")
    return a, Surd(b.u, b.v * ratio, a.c)


def _rational_root(value: Fraction) -> Fraction | None:
    """√value where that is rational."""
    p, q = isqrt(value.numerator), isqrt(value.denominator)
    return Fraction(p, q) if p * p == value.numerator and q * q == value.denominator else None


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)
