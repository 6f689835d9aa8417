"""QONNX's rounding modes on exact numbers."""

import math
from collections.abc import Callable
from fractions import Fraction

ROUNDINGS = frozenset({"ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"})
"""Names of the modes, upper case: to nearest with ties to even (two names), towards +∞, −∞, away from 0, towards 0, and to nearest with
ties away from 0 or towards 0."""

HALF = Fraction(1, 2)


def round_exact(value: Fraction, mode: str) -> int:
    """`value` rounded to an integer; `mode` is one of `ROUNDINGS` (else KeyError)."""
    return int(_RULES[mode](value))


def least_rounding_to(integer: int, mode: str) -> tuple[Fraction, bool]:
    """Where the values begin that round to `integer` or more: (bound, True if the bound itself does).

    Every mode is monotonic, so round(v) ≥ integer holds exactly for v > bound, or v ≥ bound.
    """
    bound = Fraction(integer) - _REACH[mode](integer)
    return bound, round_exact(bound, mode) >= integer


def _away(value: Fraction, magnitude: int) -> int:
    return magnitude if value >= 0 else -magnitude


_RULES: dict[str, Callable[[Fraction], int]] = {
    "ROUND": round,  # Python rounds a Fraction half to even
    "HALF_EVEN": round,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "UP": lambda v: _away(v, math.ceil(abs(v))),
    "DOWN": math.trunc,
    "HALF_UP": lambda v: _away(v, math.floor(abs(v) + HALF)),
    "HALF_DOWN": lambda v: _away(v, math.ceil(abs(v) - HALF)),
}

# How far below an integer the values reach that round up to it.
_REACH: dict[str, Callable[[int], Fraction]] = {
    **dict.fromkeys(("ROUND", "HALF_EVEN", "HALF_UP", "HALF_DOWN"), lambda _: HALF),
    "CEIL": lambda _: Fraction(1),
    "FLOOR": lambda _: Fraction(0),
    "UP": lambda integer: Fraction(integer > 0),
    "DOWN": lambda integer: Fraction(integer <= 0),
}
