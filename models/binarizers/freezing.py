"""What methods share that train soft weights first and end on hard signs that no longer change."""

from torch import Tensor

from bwnhw.models.binarizers.base import Binarizer


class Freezing(Binarizer):
    """Trains on `moving()`, and after the share `freeze` of all steps on scale · bits, which then stay: the latent gets no gradient any
    more, and an optimizer of torch leaves a parameter without gradient as it is. The other parameters train on."""

    reestimate_batch_norm = True

    def __init__(self, shape: tuple[int, ...], scale: str, freeze: float) -> None:
        if not 0 < freeze <= 1:
            raise ValueError(f"expected freeze in (0, 1], found {freeze}")
        super().__init__(shape, scale)
        self.freeze = freeze
        self.frozen = False

    def advance(self, progress: float) -> None:
        """Freeze when it is time; a subclass sets its schedule too, over the steps before."""
        self.frozen = progress >= self.freeze

    def share(self, progress: float) -> float:
        """How much of the time before the freeze has gone, in [0, 1]."""
        return min(1.0, progress / self.freeze)

    def moving(self) -> Tensor:
        """The weights of the forward pass before the freeze, with the method's gradient; shape of the latent."""
        raise NotImplementedError

    def trained(self) -> Tensor:
        """`moving()`, then scale · bits."""
        return self.scaled(self.bits()) if self.frozen else self.moving()
