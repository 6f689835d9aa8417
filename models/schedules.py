"""Learning rates relative to their peak, by the name a recipe gives them: functions of the step's number and the number of all steps."""

import math
from collections.abc import Callable

Schedule = Callable[[int, int], float]


def _schedule(warm_up: float, fall: Callable[[float], float]) -> Schedule:
    def rate(step: int, steps: int) -> float:
        warm = round(warm_up * steps)
        if step < warm:
            return (step + 1) / warm
        return fall((step - warm) / max(1, steps - warm))

    return rate


def cosine(warm_up: float = 0.05) -> Schedule:
    """A linear rise over the share `warm_up` of all steps, then half a cosine down to 0."""
    return _schedule(warm_up, lambda share: 0.5 * (1 + math.cos(math.pi * share)))


def linear(warm_up: float = 0.05) -> Schedule:
    """A linear rise over the share `warm_up` of all steps, then a straight line down to 0."""
    return _schedule(warm_up, lambda share: 1 - share)


def constant(warm_up: float = 0.0) -> Schedule:
    """A linear rise over the share `warm_up` of all steps, then the peak."""
    return _schedule(warm_up, lambda share: 1.0)


SCHEDULES: dict[str, Callable[..., Schedule]] = {"cosine": cosine, "linear": linear, "constant": constant}
