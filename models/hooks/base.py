"""What a gradient hook is."""

from collections.abc import Sequence

from bwnhw.models.binarizers.base import Binarizer


class GradientHook:
    """Edits `latent.grad` of the binarizers in place. Options are typed keyword arguments of `__init__`, as a recipe's table [hook]."""

    def __init__(self, binarizers: Sequence[Binarizer]) -> None:
        self.binarizers = tuple(binarizers)

    def apply(self) -> None:
        """Called once per step, after the backward pass (gradients unscaled) and `before_step`, before the optimizer."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint must keep of it."""
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take up what `state_dict` gave."""
