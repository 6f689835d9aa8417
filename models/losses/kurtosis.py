"""BD-BNN (2022): a loss that gives the latent weights of each layer a wanted kurtosis, and optionally a real-valued teacher's shape.

    strength · mean over layers of (kurt(w) - target)²,   kurt(w) = mean(((w - mean) / deviation)⁴)

over all binary layers but the first; 1.8 is the kurtosis of a uniform distribution (two points 1, Gaussian 3, Laplace 6). With `teacher`

    + beta Σ over convolutions of KL(teacher's weights ‖ student's) + alpha · cross entropy of the scores with the teacher's soft labels

in either released form of the KL, the mean over all weights: of softmax(w / T) over input channels, times T² (the default, T = 6); or,
with `raw_weights`, of the raw weights as if they were logarithms of probabilities, exp(wt) (wt - ws).

The losses are as released. Deviations: one target for all layers; the teacher learns beside the student (losses/teacher.py) instead of
before it; the release's binariser is plain sign with scale per channel, which is `ste` with scale = "channel".
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.losses.base import ExtraLoss, StepView
from bwnhw.models.losses.teacher import Teacher


def kurtosis(w: Tensor) -> Tensor:
    """mean(((w - mean) / deviation)⁴) of all elements, a scalar."""
    centred = w - w.mean()
    return centred.pow(4).mean() / centred.square().mean().square()


def softened_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · mean of p_t log(p_t / p_s) over all elements, p = softmax(w / T) over dimension 1."""
    return temperature**2 * raw_kl(*(functional.log_softmax(w / temperature, dim=1) for w in (student, teacher)))


def raw_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """mean(exp(w_t) (w_t - w_s)) over all elements."""
    return (teacher.exp() * (teacher - student)).mean()


class Kurtosis(ExtraLoss):
    """For any binarizer that has real latents."""

    def __init__(
        self,
        network: nn.Module,
        count: int,
        features: int,
        strength: float = 1.0,
        target: float = 1.8,
        teacher: bool = False,
        alpha: float = 0.9,
        beta: float = 200.0,
        temperature: float = 6.0,
        raw_weights: bool = False,
    ) -> None:
        super().__init__(network, count, features)
        self.strength, self.target, self.alpha, self.beta = strength, target, alpha, beta
        self.temperature, self.raw_weights = temperature, raw_weights
        self.latents = tuple(dict.fromkeys(module.latent for module in network.modules() if isinstance(module, Binarizer)))
        if len(self.latents) < 2:
            raise ValueError(f"it shapes all binary layers but the first, and the network has {len(self.latents)}")
        self.teacher = Teacher(network) if teacher else None

    def forward(self, step: StepView) -> Tensor:
        """A scalar."""
        shape = torch.stack([(kurtosis(latent) - self.target).square() for latent in self.latents[1:]]).mean()
        loss = self.strength * shape
        return loss if self.teacher is None else loss + self._taught(self.teacher, step)

    def _taught(self, teacher: Teacher, step: StepView) -> Tensor:
        own, _, scores = teacher(step)
        soft = functional.cross_entropy(step.scores, scores.softmax(dim=1))
        total: Tensor = own + self.alpha * soft
        for student, taught in zip([latent for latent in self.latents if latent.dim() == 4], teacher.convolutions(), strict=True):
            total = total + self.beta * (raw_kl(student, taught) if self.raw_weights else softened_kl(student, taught, self.temperature))
        return total
