"""PSTE: a codebook per layer selected by a learned permutation, so that its codewords never repeat (Wang et al. 2023, "Sparks").

Of the paper's method we know the abstract: Gumbel-Sinkhorn relaxes the selection of codewords, a permutation straight-through
estimator trains it. Formulas and defaults are this project's. With the 512 kernels as columns of B: L = (X + λ·Gumbel) / T,
P_soft = Sinkhorn(L), Π the permutation of greatest ⟨Π, P_soft⟩, and the codewords are the first 2**bits columns of B·Π. The gradient of Π
is taken as that of P_soft, and flows back through Sinkhorn into X. Latents get a gradient where |w| < 1.

T falls geometrically from 1 to 0.01 and λ linearly from `noise` to 0 over the first half. X starts as 0.1 times the permutation that picks
the most frequent kernels of the given weights, plus small noise: little, since X has few steps to move in. It is solved and gets its
gradient on every 50th step (both are slow), and not in the last fifth of the training. The stored parameter is 10·X, so that Adam's
steps on X are a tenth of those on the weights.
"""

import numpy as np
import torch
from torch import Tensor, nn

from bwnhw.codebooks import Selection, select
from bwnhw.errors import InputError
from bwnhw.kernels import KERNELS, signs
from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.codebooks.base import CodebookBinarizer, Shared, values

_EVERY = 50
_FROZEN = 0.8  # from this progress on the permutation stays
_SLOWER = 10.0
_LEAD = 0.1  # of the most frequent kernels in X at the start
_JITTER = 0.001


def sinkhorn(scores: Tensor, rounds: int) -> Tensor:
    """A matrix whose rows and columns sum to 1 (nearly, the more the rounds), from real scores (N, N), differentiably."""
    for _ in range(rounds):
        scores = scores - scores.logsumexp(dim=1, keepdim=True)
        scores = scores - scores.logsumexp(dim=0, keepdim=True)
    return scores.exp()


def assignment(soft: Tensor) -> Tensor:
    """(N,) int64: the row that the permutation of greatest ⟨Π, soft⟩ picks for every column."""
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # comes with scikit-learn

    _, rows = linear_sum_assignment(soft.detach().double().cpu().numpy().T, maximize=True)
    return torch.from_numpy(np.asarray(rows, np.int64))


class Pste(CodebookBinarizer):
    """2**bits distinct codewords, selected among the 512 kernels by a trained permutation."""

    steps: Tensor
    order: Tensor

    def __init__(self, inner: Binarizer, shared: Shared, bits: int = 4, rounds: int = 20, noise: float = 0.1) -> None:
        del shared  # every layer has a codebook of its own
        if inner.latent.shape[2:] != (3, 3):
            raise InputError(f"codebook: expected 3×3 kernels for pste, found {tuple(inner.latent.shape[2:])}")
        super().__init__(inner, Selection(bits), bits)
        self.rounds, self.noise, self.progress = rounds, noise, 0.0
        ranking = torch.from_numpy(select([values(inner)], Selection(9))[0])
        start = torch.zeros(KERNELS, KERNELS)
        start[ranking, torch.arange(KERNELS)] = _LEAD
        self.choice = nn.Parameter(_SLOWER * (start + _JITTER * torch.randn(KERNELS, KERNELS)))
        self.register_buffer("order", ranking)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.adopt(ranking[None, :self.selection.words].numpy())

    def soft(self, temperature: float, noise: float) -> Tensor:
        """P_soft (512, 512) of the present X."""
        scores = self.choice / _SLOWER
        if noise:
            scores = scores - noise * (-torch.rand_like(scores).clamp(1e-20, 1 - 1e-7).log()).log()
        return sinkhorn(scores / temperature, self.rounds)

    def advance(self, progress: float) -> None:
        """Keep the progress, which decides temperature and noise."""
        super().advance(progress)
        self.progress = progress

    def trained(self) -> Tensor:
        """scale · q(carrier); on every 50th step the permutation is solved anew and X gets a gradient."""
        picks: Tensor | None = None
        if int(self.steps) % _EVERY == 0 and self.progress < _FROZEN:
            soft = self.soft(0.01**self.progress, self.noise * max(0.0, 1 - 2 * self.progress))
            self.order.copy_(assignment(soft))
            self.adopt(self.order[None, :self.selection.words].cpu().numpy())
            picks = soft[:, :self.selection.words]
        carrier, book = self.carrier(), self.codebook()
        assert book is not None  # there from the start
        everything = torch.from_numpy(signs(np.arange(KERNELS)).astype(np.float32)).to(carrier)
        words = everything[self.words[0]]
        if picks is not None:
            words = words + (picks - picks.detach()).T @ everything
        kernels = words[torch.from_numpy(book.index).to(carrier.device)].reshape(carrier.shape)
        inside = (carrier.abs() < 1).to(carrier.dtype)
        return self.scaled(kernels + inside * (carrier - carrier.detach()))

    def after_step(self) -> None:
        """Count."""
        super().after_step()
        self.steps += 1
