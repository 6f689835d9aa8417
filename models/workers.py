"""Several processes that train one network together, as `torchrun` starts them: each takes a share of every batch.

    torchrun --nproc-per-node 2 -m bwnhw.cli train RECIPE -o OUT

All processes draw the same random numbers, so they agree on batches and distortions; gradients are averaged after every backward pass and
batch norm statistics after every epoch. Batch norm and extra losses see the share of the batch that their own process has.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Workers:
    """This process among all: `rank` of `count`, with the device it computes on. Rank 0 writes the files."""

    rank: int
    count: int
    device: torch.device

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch (N,); N is a multiple of the number of processes."""
        return batch[self.rank :: self.count]

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors, the same shapes in every process, by their means over the processes."""
        if self.count == 1:
            return
        for tensor in tensors:
            distributed.all_reduce(tensor)
            tensor /= self.count

    def average_gradients(self, *modules: nn.Module | None) -> None:
        """Average the gradients that there are of the modules' parameters."""
        self.average(p.grad for module in modules if module is not None for p in module.parameters() if p.grad is not None)

    def average_statistics(self, network: nn.Module) -> None:
        """Average the running statistics of batch norms."""
        norms = (module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d))
        self.average(buffer for norm in norms for buffer in norm.buffers() if buffer.is_floating_point())


ALONE = Workers(0, 1, torch.device("cpu"))


def default_device() -> torch.device:
    """The GPU where there is one; of several the one of this process's number on its machine."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def workers() -> Iterator[Workers]:
    """This process among those that `torchrun` started, or alone."""
    device = default_device()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Workers(0, 1, device)
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Workers(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()
