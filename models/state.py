"""A training between two steps: everything that the next step depends on, and the step itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bwnhw.models import methods
from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.hooks.base import GradientHook
from bwnhw.models.losses.base import ExtraLoss, StepView
from bwnhw.models.optimizers.base import LatentOptimizer
from bwnhw.models.recipe import Recipe
from bwnhw.models.schedules import Schedule
from bwnhw.models.statistics import SignWatch
from bwnhw.models.workers import Workers


@dataclass(eq=False)
class State:
    """What is trained and by what; `steps` is the number of all steps, `step` of those made;
    `watch`, where there is one, counts flips of signs; `workers` are the processes that share every batch."""

    recipe: Recipe
    network: nn.Sequential
    binarizers: Sequence[Binarizer]
    optimizers: list[torch.optim.Optimizer]
    schedule: Schedule
    hook: GradientHook | None
    loss: ExtraLoss | None
    workers: Workers
    steps: int
    step: int = 0
    watch: SignWatch | None = None

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on to the same bits on the same machine, torch's random state included."""
        return {
            "step": self.step, "steps": self.steps, "recipe": self.recipe.table(),
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "hook": self.hook.state_dict() if self.hook else {},
            "loss": self.loss.state_dict() if self.loss else {},
            "watch": _watched(self.watch) if self.watch else {},
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if self.hook:
            self.hook.load_state_dict(state["hook"])
        if self.loss:
            self.loss.load_state_dict(state["loss"])
        if self.watch:
            epochs = [{name: signs.numpy() for name, signs in epoch.items()} for epoch in state["watch"]["epochs"]]
            self.watch.load_state_dict({**state["watch"], "epochs": epochs})
        torch.set_rng_state(state["random"])


def _watched(watch: SignWatch) -> dict[str, Any]:
    """Its state in tensors alone."""
    return {**watch.state_dict(), "epochs": [{name: torch.from_numpy(signs) for name, signs in epoch.items()} for epoch in watch.epochs]}


def start(recipe: Recipe, count: int, workers: Workers, watch_signs: bool = False) -> State:
    """The state before the first of all steps over `count` training images; draws from torch's generator."""
    network = methods.network_of(recipe)
    network.to(device=workers.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it; faster on a CPU
    binarizers = methods.binarizers_of(network)
    loss = methods.loss_of(recipe, network, count)
    if loss is not None:
        loss.to(workers.device)
    optimizers = methods.optimizers_of(recipe, network, loss)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group.get("lr"))
    steps = recipe.epochs * max(1, count // recipe.batch)
    watch = SignWatch(methods.binarizers_by_name(network)) if watch_signs else None
    if watch:
        watch.record()
    return State(recipe, network, binarizers, optimizers, methods.schedule_of(recipe), methods.hook_of(recipe, binarizers), loss, workers,
                 steps, watch=watch)


def make_step(state: State, index: Tensor, images: Tensor, labels: Tensor) -> float:
    """One step on images (N, C, H, W) whose numbers in the training set are `index` (N,); returns the loss."""
    progress = state.step / state.steps
    for binarizer in state.binarizers:
        binarizer.advance(progress)
    for optimizer in state.optimizers:
        if isinstance(optimizer, LatentOptimizer):
            optimizer.advance(progress)
        for group in optimizer.param_groups:
            if group["initial_lr"] is not None:
                group["lr"] = group["initial_lr"] * state.schedule(state.step, state.steps)
        optimizer.zero_grad()
    loss = _loss(state, index, images, labels, progress)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves backward() untyped
    state.workers.average_gradients(state.network, state.loss)
    for binarizer in state.binarizers:
        binarizer.before_step()
    if state.hook:
        state.hook.apply()
    for optimizer in state.optimizers:
        optimizer.step()
    for binarizer in state.binarizers:
        binarizer.after_step()
    if state.watch:
        state.watch.step()
    state.step += 1
    return loss.item()


def _loss(state: State, index: Tensor, images: Tensor, labels: Tensor, progress: float) -> Tensor:
    entering: list[Tensor] = []
    last = methods.weighted_layers(state.network)[-1]
    watch = last.register_forward_pre_hook(lambda module, inputs: entering.append(inputs[0]))
    try:
        with torch.autocast(state.workers.device.type, torch.bfloat16, enabled=state.recipe.precision == "bfloat16"):
            scores = state.network(images)
    finally:
        watch.remove()
    scores = scores.float()
    loss = functional.cross_entropy(scores, labels, label_smoothing=state.recipe.label_smoothing)
    if state.loss is None:
        return loss
    extra: Tensor = state.loss(StepView(index, images, labels, entering[0].flatten(1), scores, progress))
    return loss + extra


def reestimate_batch_norms(state: State, batches: Sequence[Tensor]) -> None:
    """Batch norm statistics of the deployed weights: means over the given batches of images, in place of the running ones."""
    norms = [module for module in state.network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    state.network.eval()  # the weights as they are deployed
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
        norm.train()
    with torch.no_grad():
        for images in batches:
            state.network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
