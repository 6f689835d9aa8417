"""Training of a network with binary weights: one recipe in, the last epoch's network out.

    bwnhw train digits-conv.toml -o OUT
    bwnhw train mnist-sfc.toml --data mnist.npz -o OUT

Test data is looked at once, after the last epoch.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bwnhw.errors import InputError, ModelError
from bwnhw.files import write_bytes, write_text
from bwnhw.models import methods
from bwnhw.models.architectures import ARCHITECTURES
from bwnhw.models.card import card_of
from bwnhw.models.checkpoint import read_checkpoint, write_checkpoint
from bwnhw.models.data import Dataset, Images, load_dataset, write_test_images
from bwnhw.models.distort import distort
from bwnhw.models.export import to_graph
from bwnhw.models.log import EpochReport, Log
from bwnhw.models.recipe import Recipe, load_recipe
from bwnhw.models.state import State, make_step, reestimate_batch_norms, start
from bwnhw.models.workers import ALONE, Workers, workers
from bwnhw.onnx_write import save

_EVAL_BATCH = 1000
_REESTIMATION = 100  # batches


Progress = Callable[[EpochReport], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """A network after its last epoch, in eval mode, and its fraction of right answers on validation and test images.

    `signs` is by layer what `SignWatch.summary` says, where signs were watched.
    """

    recipe: Recipe
    network: nn.Sequential
    validation_accuracy: float | None
    test_accuracy: float
    signs: dict[str, dict[str, float]] | None = None


@dataclass(frozen=True)
class RunResult:
    """What `run` wrote: the ONNX file, and the card beside it; `accuracy_float` is torch's, a fraction of the test images.

    Of a network that has no ONNX form here, `path` is torch's file of its parameters, and the card says why.
    """

    path: Path
    accuracy_float: float
    card: dict[str, Any]


def run(recipe: Path, data: Path | None, out: Path, progress: Progress, epochs: int | None = None, *, resume: bool = False,
        watch_signs: bool = False) -> RunResult | None:
    """Train a recipe and write NAME.onnx, NAME.json and, where they are small, the test images into the folder `out`.

    A network that `to_graph` refuses is written as NAME.pt, torch's file of its parameters.

    `data` is the file of a data set that doesn't come with a library; `epochs` replaces the recipe's own number. While it trains,
    NAME.csv and NAME-events are its log and NAME.checkpoint what `resume` goes on from, to the same bits. Of several processes
    (`bwnhw.models.workers`) the first writes and returns a result, the others None.
    Raises what `load_recipe`, `load_dataset` and `train` raise, OSError where the folder can't be written.
    """
    plan = load_recipe(recipe)
    if epochs is not None:
        plan = replace(plan, epochs=epochs)
    methods.check(plan)
    dataset = load_dataset(plan.dataset, data)
    out.mkdir(parents=True, exist_ok=True)  # before the hour of training, not after it
    path = out / f"{plan.name}.onnx"
    checkpoint = path.with_suffix(".checkpoint")
    if not resume:
        checkpoint.unlink(missing_ok=True)
    with workers() as team:
        if team.rank:
            train(plan, dataset, lambda report: None, team=team, checkpoint=checkpoint, watch_signs=watch_signs)
            return None
        with closing(Log(path.with_suffix(""))) as log:

            def follow(report: EpochReport) -> None:
                log.add(report)
                progress(report)

            trained = train(plan, dataset, follow, team=team, checkpoint=checkpoint, watch_signs=watch_signs)
    card = card_of(plan, dataset, data, trained.validation_accuracy, trained.test_accuracy, trained.signs)
    try:
        save(to_graph(trained.network, ARCHITECTURES[plan.architecture]), path)
    except ModelError as error:
        path = path.with_suffix(".pt")
        _save_parameters(trained.network, path)
        card["not_exported"] = str(error)
    if dataset.test_file is not None:
        write_test_images(dataset, out / dataset.test_file)
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2) + "\n")
    checkpoint.unlink(missing_ok=True)
    return RunResult(path, trained.test_accuracy, card)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(recipe: Recipe, data: Dataset, progress: Progress, *, team: Workers = ALONE, checkpoint: Path | None = None,
          watch_signs: bool = False) -> Trained:
    """Train; the same recipe and data give the same bits on the same machine and torch, whether signs are watched or not.

    Where there is a `checkpoint`, training goes on from it, after its reports were given to `progress` again; it is written anew after
    every epoch. InputError where `methods.check` raises it, the images don't fit the architecture, or the checkpoint the recipe.
    """
    methods.check(recipe)
    _check_images(recipe, data, team)
    with _threads(recipe.threads), torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        state = start(recipe, len(data.y_train) - recipe.validation, team, watch_signs)
        order = torch.randperm(len(data.y_train))
        held_out, kept = order[: recipe.validation].numpy(), order[recipe.validation :]
        reports = read_checkpoint(checkpoint, state) if checkpoint and checkpoint.exists() else []
        for report in reports:
            progress(report)
        for epoch in range(len(reports), recipe.epochs):
            begin = time.monotonic()
            loss = _epoch(state, data, kept)
            if recipe.validation or epoch + 1 == recipe.epochs:
                _settle(state, data, kept)
            validation = accuracy(state.network, data.x_train[held_out], data.y_train[held_out]) if recipe.validation else None
            rate = state.optimizers[-1].param_groups[-1]["lr"]
            reports.append(EpochReport(epoch + 1, recipe.epochs, loss, rate, validation, time.monotonic() - begin, _measures(state)))
            if checkpoint and team.rank == 0:
                write_checkpoint(checkpoint, state, reports)
            progress(reports[-1])
        test = accuracy(state.network, data.x_test, data.y_test)
        return Trained(recipe, state.network.eval(), reports[-1].validation_accuracy, test, state.watch.summary() if state.watch else None)


def _save_parameters(network: nn.Module, path: Path) -> None:
    buffer = BytesIO()
    torch.save(network.state_dict(), buffer)
    write_bytes(path, buffer.getvalue())


def accuracy(network: nn.Module, images: Images, labels: NDArray[np.int64]) -> float:
    """Fraction of images (N, C, H, W) whose greatest score, ties to the lowest index, is at the label; sets eval mode."""
    network.eval()
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    right = 0
    with torch.no_grad():
        for begin in range(0, len(labels), _EVAL_BATCH):
            scores = network(torch.from_numpy(images[begin : begin + _EVAL_BATCH]).to(device).float()).cpu().numpy()
            right += int((scores.argmax(axis=1) == labels[begin : begin + _EVAL_BATCH]).sum())
    return right / len(labels)


def _check_images(recipe: Recipe, data: Dataset, team: Workers) -> None:
    architecture = ARCHITECTURES[recipe.architecture]
    top = 2**architecture.pixel_bits - 1
    if data.x_train.shape[1:] != architecture.image:
        raise InputError(f"architecture {recipe.architecture!r}: expected images {architecture.image}, found {data.x_train.shape[1:]}")
    if isinstance(data.x_train, np.ndarray) and data.x_train.max() > top:
        raise InputError(f"architecture {recipe.architecture!r}: expected pixels of 0..{top}, found {data.x_train.max()}")
    if max(data.y_train.max(), data.y_test.max()) >= architecture.classes:
        raise InputError(f"architecture {recipe.architecture!r}: expected labels below {architecture.classes}, found "
                         f"{max(data.y_train.max(), data.y_test.max())}")
    if len(data.y_train) < recipe.validation + recipe.batch:
        raise InputError(f"recipe {recipe.name!r}: expected at least validation + batch training images, found {len(data.y_train)}")
    if recipe.batch % team.count:
        raise InputError(f"recipe {recipe.name!r}: expected a batch that {team.count} processes share evenly, found {recipe.batch}")


def _batch(state: State, data: Dataset, index: Tensor) -> Tensor:
    """Distorted training images (N, C, H, W) as float32."""
    return distort(torch.from_numpy(data.x_train[index.numpy()]).to(state.workers.device).float(), state.recipe)


def _epoch(state: State, data: Dataset, kept: Tensor) -> float:
    """One pass over the training images in random order, the last incomplete batch left out; returns the mean loss."""
    state.network.train()
    total, batches = 0.0, 0
    for part in torch.split(torch.randperm(len(kept)), state.recipe.batch):
        if len(part) < state.recipe.batch:
            break
        mine = state.workers.share(part)
        labels = torch.from_numpy(data.y_train[kept[mine].numpy()]).to(state.workers.device)
        total += make_step(state, mine.to(state.workers.device), _batch(state, data, kept[mine]), labels)
        batches += 1
    state.workers.average_statistics(state.network)
    if state.watch:
        state.watch.record()
    return total / batches


def _measures(state: State) -> dict[str, float]:
    """By layer the share of signs that differ from the epoch before, and of those that never changed, where signs are watched."""
    if state.watch is None:
        return {}
    found = {}
    for name, records in state.watch.records().items():
        found[f"flips {name}"] = float(records.flip_ratios()[-1])
        found[f"never_flipped {name}"] = records.never_flipped()
    return found


def _settle(state: State, data: Dataset, kept: Tensor) -> None:
    """New batch norm statistics where the deployed weights aren't those that were trained."""
    if any(binarizer.reestimate_batch_norm for binarizer in state.binarizers):
        drawn = torch.split(torch.randperm(len(kept)), state.recipe.batch)[:_REESTIMATION]
        reestimate_batch_norms(state, [_batch(state, data, kept[part]) for part in drawn])
