"""Straight-through training of a network with binary weights: one recipe in, the last epoch's network out.

    bwnhw train digits-conv.toml -o OUT
    bwnhw train mnist-sfc.toml --data mnist.npz -o OUT

Latent weights are clipped to [-1, 1] after every step (BinaryConnect); Adam with a linear warm-up and a cosine decay to zero.
Test data is looked at once, after the last epoch.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bwnhw.errors import InputError
from bwnhw.files import write_text
from bwnhw.models.architectures import ARCHITECTURES
from bwnhw.models.card import card_of
from bwnhw.models.data import Dataset, load_dataset, write_test_images
from bwnhw.models.export import to_graph
from bwnhw.models.layers import BinaryWeight
from bwnhw.models.recipe import Recipe, load_recipe
from bwnhw.onnx_write import save

_WARM_UP = 0.05  # fraction of all steps
_EVAL_BATCH = 1000


@dataclass(frozen=True)
class EpochReport:
    """What a progress display may show; `validation_accuracy` is a fraction, None where nothing is held out."""

    epoch: int
    epochs: int
    loss: float
    validation_accuracy: float | None
    seconds: float


Progress = Callable[[EpochReport], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """A network after its last epoch, in eval mode, and its fraction of right answers on validation and test images."""

    recipe: Recipe
    network: nn.Sequential
    validation_accuracy: float | None
    test_accuracy: float


@dataclass(frozen=True)
class RunResult:
    """What `run` wrote: the ONNX file, and the card beside it; `accuracy_float` is torch's, a fraction of the test images."""

    path: Path
    accuracy_float: float
    card: dict[str, Any]


def run(recipe: Path, data: Path | None, out: Path, progress: Progress, epochs: int | None = None) -> RunResult:
    """Train a recipe and write NAME.onnx, NAME.json and, where they are small, the test images into the folder `out`.

    `data` is the file of a data set that doesn't come with a library; `epochs` replaces the recipe's own number.
    Raises what `load_recipe`, `load_dataset` and `train` raise, OSError where the folder can't be written.
    """
    plan = load_recipe(recipe)
    if epochs is not None:
        plan = replace(plan, epochs=epochs)
    dataset = load_dataset(plan.dataset, data)
    out.mkdir(parents=True, exist_ok=True)  # before the hour of training, not after it
    trained = train(plan, dataset, progress)
    path = out / f"{plan.name}.onnx"
    card = card_of(plan, dataset, data, trained.validation_accuracy, trained.test_accuracy)
    save(to_graph(trained.network, ARCHITECTURES[plan.architecture]), path)
    if dataset.test_file is not None:
        write_test_images(dataset, out / dataset.test_file)
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
    return RunResult(path, trained.test_accuracy, card)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(recipe: Recipe, data: Dataset, progress: Progress) -> Trained:
    """Train from scratch; the same recipe and data give the same bits on the same CPU and torch.

    InputError where the architecture is unknown or the images don't fit it.
    """
    _check_images(recipe, data)
    with _threads(recipe.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = ARCHITECTURES[recipe.architecture].build(recipe.activation_bits)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it; faster on a CPU
        order = torch.randperm(len(data.y_train))
        held_out, kept = order[: recipe.validation].numpy(), order[recipe.validation :]
        images, labels = torch.from_numpy(data.x_train)[kept], torch.from_numpy(data.y_train)[kept]
        steps = recipe.epochs * max(1, len(kept) // recipe.batch)
        optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
        validation = None
        for epoch in range(recipe.epochs):
            start = time.monotonic()
            loss = _epoch(network, images, labels, recipe, optimiser, schedule)
            if recipe.validation:
                validation = accuracy(network, data.x_train[held_out], data.y_train[held_out])
            progress(EpochReport(epoch + 1, recipe.epochs, loss, validation, time.monotonic() - start))
        return Trained(recipe, network.eval(), validation, accuracy(network, data.x_test, data.y_test))


def accuracy(network: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Fraction of images (N, C, H, W) whose greatest score, ties to the lowest index, is at the label; sets eval mode."""
    network.eval()
    right = 0
    with torch.no_grad():
        for start in range(0, len(labels), _EVAL_BATCH):
            scores = network(torch.from_numpy(images[start : start + _EVAL_BATCH]).float()).numpy()
            right += int((scores.argmax(axis=1) == labels[start : start + _EVAL_BATCH]).sum())
    return right / len(labels)


def _check_images(recipe: Recipe, data: Dataset) -> None:
    if recipe.architecture not in ARCHITECTURES:
        raise InputError(f"architecture {recipe.architecture!r}: expected one of {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[recipe.architecture]
    top = 2**architecture.pixel_bits - 1
    if data.x_train.shape[1:] != architecture.image:
        raise InputError(f"architecture {recipe.architecture!r}: expected images {architecture.image}, found {data.x_train.shape[1:]}")
    if data.x_train.max() > top:
        raise InputError(f"architecture {recipe.architecture!r}: expected pixels of 0..{top}, found {data.x_train.max()}")
    if len(data.y_train) < recipe.validation + recipe.batch:
        raise InputError(f"recipe {recipe.name!r}: expected at least validation + batch training images, found {len(data.y_train)}")


def _rate(step: int, steps: int) -> float:
    """Learning rate relative to its peak: linear warm-up, then half a cosine down to 0."""
    warm = max(1, round(_WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _epoch(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float:
    """One pass over the training images in random order, the last incomplete batch left out; returns the mean loss."""
    network.train()
    total, batches = 0.0, 0
    for index in torch.split(torch.randperm(len(labels)), recipe.batch):
        if len(index) < recipe.batch:
            break
        scores = network(distort(images[index].float(), recipe))
        loss = functional.cross_entropy(scores, labels[index])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves backward() untyped
        optimiser.step()
        schedule.step()
        for module in network.modules():
            if isinstance(module, BinaryWeight):
                module.clip()
        total, batches = total + loss.item(), batches + 1
    return total / batches


def distort(images: Tensor, recipe: Recipe) -> Tensor:
    """Shift, rotate and zoom each image (N, C, H, W) at random within the recipe's bounds; pixels stay integers, outside is 0."""
    if not (recipe.shift or recipe.rotate or recipe.zoom):
        return images
    count, _, height, width = images.shape
    uniform = 2 * torch.rand(4, count) - 1
    angle, zoom = uniform[0] * math.radians(recipe.rotate), 1 + uniform[1] * recipe.zoom
    shift_x, shift_y = uniform[2] * recipe.shift * 2 / width, uniform[3] * recipe.shift * 2 / height
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    maps = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], dim=1).reshape(count, 2, 3)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False).round()
