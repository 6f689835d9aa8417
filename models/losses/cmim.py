"""CMIM's contrastive loss (Shang et al., ECCV 2022, the released CIFAR-100 code): more mutual information with a real-valued teacher.

The features entering the last layer, of student and teacher, are projected to 128 numbers and normalised: u, v. Two memory banks keep such
a row for each of the M training images. Per image, with the other network's bank rows r of the image itself and of K other images,

    p(r) = exp(<u, r> / 0.1) / Z,   c = K / M
    loss = - log(p(own) / (p(own) + c)) - Σ over the others of log(c / (p(r) + c))

averaged over the batch, in both directions (u against the teacher's bank, v against the student's), times `strength`. Z is fixed from the
first batch, M times the mean of exp. After each batch bank rows move half-way to the new u or v and are normalised again.

The loss is the released one; the paper itself contrasts binary with latent real activations of one network. Deviations: the teacher learns
beside the student (losses/teacher.py) instead of before it; at most M - 1 of the `negatives` exist.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bwnhw.models.losses.base import ExtraLoss, StepView
from bwnhw.models.losses.teacher import Teacher

_WIDTH, _TEMPERATURE, _MOMENTUM = 128, 0.1, 0.5


def contrast(similar: Tensor, z: Tensor, count: int) -> Tensor:
    """The loss above, averaged over the batch, of <u, r> (N, 1 + K) whose first column is the image's own; `count` is M."""
    p = (similar / _TEMPERATURE).exp() / z
    c = (similar.shape[1] - 1) / count
    own, others = p[:, 0], p[:, 1:]
    return -((own / (own + c)).log() + (c / (others + c)).log().sum(1)).mean()


class MutualInformation(ExtraLoss):
    """With the binarizer `cmim` it is the published pair; it goes with any. `negatives` is K."""

    student_bank: Tensor
    teacher_bank: Tensor
    z: Tensor

    def __init__(self, network: nn.Module, count: int, features: int, strength: float = 3.2, negatives: int = 4096) -> None:
        super().__init__(network, count, features)
        if count < 2 or negatives < 1:
            raise ValueError(f"it needs two training images and a negative, found {count} and {negatives}")
        self.count, self.strength, self.negatives = count, strength, min(negatives, count - 1)
        self.teacher = Teacher(network)
        self.project_student, self.project_teacher = nn.Linear(features, _WIDTH), nn.Linear(features, _WIDTH)
        for name in ("student_bank", "teacher_bank"):
            self.register_buffer(name, functional.normalize(torch.randn(count, _WIDTH)))
        self.register_buffer("z", torch.zeros(2))

    def forward(self, step: StepView) -> Tensor:
        """A scalar; moves the banks."""
        own, features, _ = self.teacher(step)
        u = functional.normalize(self.project_student(step.features))
        v = functional.normalize(self.project_teacher(features))
        away = torch.randint(1, self.count, (len(step.index), self.negatives), device=step.index.device)
        rows = torch.cat([step.index[:, None], (step.index[:, None] + away) % self.count], dim=1)
        total: Tensor = own
        for side, (anchor, bank) in enumerate(((u, self.teacher_bank), (v, self.student_bank))):
            similar = (bank[rows] @ anchor[:, :, None])[:, :, 0]
            if not self.z[side]:
                self.z[side] = (similar.detach() / _TEMPERATURE).exp().mean() * self.count
            total = total + self.strength * contrast(similar, self.z[side].clone(), self.count)
        self._remember(self.student_bank, step.index, u)
        self._remember(self.teacher_bank, step.index, v)
        return total

    def _remember(self, bank: Tensor, index: Tensor, rows: Tensor) -> None:
        with torch.no_grad():
            bank[index] = functional.normalize(_MOMENTUM * bank[index] + (1 - _MOMENTUM) * rows)
