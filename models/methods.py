"""What a recipe's tables name, checked and made: binarizer, codebook, gradient hook, extra loss, optimizers, schedule of the rate."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bwnhw import zoo
from bwnhw.errors import InputError
from bwnhw.models.adopt import adopt
from bwnhw.models.architectures import ARCHITECTURES
from bwnhw.models.binarize import Surrogate
from bwnhw.models.binarizers import BINARIZERS
from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.codebooks import CODEBOOKS
from bwnhw.models.codebooks.base import Shared
from bwnhw.models.hooks import HOOKS
from bwnhw.models.hooks.base import GradientHook
from bwnhw.models.layers import BinaryConv2d, BinaryLinear
from bwnhw.models.losses import LOSSES
from bwnhw.models.losses.base import ExtraLoss
from bwnhw.models.optimizers import OPTIMIZERS
from bwnhw.models.recipe import Part, Recipe
from bwnhw.models.schedules import SCHEDULES, Schedule
from bwnhw.models.style import Style
from bwnhw.onnx_read import load

_Made = TypeVar("_Made")
_Parameters = list[Tensor]


def adam(latents: _Parameters, others: _Parameters, rate: float, weight_decay: float = 0.0, beta1: float = 0.9,
         beta2: float = 0.999) -> torch.optim.Optimizer:
    """Adam; `weight_decay` acts on latent weights only."""
    return torch.optim.Adam(_groups(latents, others, weight_decay), lr=rate, betas=(beta1, beta2))


def sgd(latents: _Parameters, others: _Parameters, rate: float, weight_decay: float = 0.0, momentum: float = 0.9,
        nesterov: bool = False) -> torch.optim.Optimizer:
    """Gradient descent with momentum; `weight_decay` acts on latent weights only."""
    return torch.optim.SGD(_groups(latents, others, weight_decay), lr=rate, momentum=momentum, nesterov=nesterov)


def _groups(latents: _Parameters, others: _Parameters, weight_decay: float) -> list[dict[str, Any]]:
    return [{"params": latents, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": adam, "sgd": sgd}
_LATENT_FREE, _FLIPPING = "direct", ("bop", "bop2")


def check(recipe: Recipe) -> None:
    """InputError where a table names nothing, gives an option that what it names doesn't take, or tables don't go together."""
    where = f"recipe {recipe.name!r}"
    if recipe.architecture not in ARCHITECTURES:
        raise InputError(f"{where}: expected an architecture of {', '.join(ARCHITECTURES)}, found {recipe.architecture!r}")
    if recipe.centred and recipe.activation_bits != 1:
        raise InputError(f"{where}: expected activation_bits = 1 with 'centred', found {recipe.activation_bits}")
    if recipe.surrogate not in list(Surrogate):
        raise InputError(f"{where}: expected a surrogate of {', '.join(Surrogate)}, found {recipe.surrogate!r}")
    _check_part(where, "binarizer", recipe.binarizer, BINARIZERS, given=1)
    _check_part(where, "hook", recipe.hook, HOOKS, given=1)
    _check_part(where, "loss", recipe.loss, LOSSES, given=3)
    _check_part(where, "codebook", recipe.codebook, CODEBOOKS, given=2)
    alone = recipe.optimizer.name in OPTIMIZERS
    _check_part(where, "optimizer", recipe.optimizer, OPTIMIZERS if alone else {**_OPTIMIZERS, **OPTIMIZERS}, given=1 if alone else 3)
    _check_part(where, "schedule", recipe.schedule, SCHEDULES, given=0)
    _check_together(where, recipe)


def _check_together(where: str, recipe: Recipe) -> None:
    """Bop's weights have no latent, and only Bop moves them."""
    flips = recipe.optimizer.name in _FLIPPING
    if flips != (recipe.binarizer.name == _LATENT_FREE):
        raise InputError(f"{where}: expected the [binarizer] {_LATENT_FREE} with the [optimizer] {' or '.join(_FLIPPING)}, and neither "
                         f"without the other, found {recipe.binarizer.name!r} and {recipe.optimizer.name!r}")
    for table, part in (("hook", recipe.hook), ("codebook", recipe.codebook)):
        if flips and part is not None:
            raise InputError(f"{where}: expected no [{table}] beside the [binarizer] {_LATENT_FREE}, which has no latent weights, "
                             f"found {part.name!r}")


def _check_part(where: str, table: str, part: Part | None, registry: Mapping[str, Callable[..., object]], given: int) -> None:
    """Hold a part against the signature of what it names, whose first `given` parameters a recipe doesn't state."""
    if part is None:
        return
    if part.name not in registry:
        raise InputError(f"{where}: expected a [{table}] of {', '.join(registry) or 'none yet'}, found {part.name!r}")
    known = dict(list(inspect.signature(registry[part.name], eval_str=True).parameters.items())[given:])
    for name, value in part.options.items():
        if name not in known:
            raise InputError(f"{where}: expected an option of [{table}] {part.name}: {', '.join(known) or 'none'}, found {name!r}")
        kind = known[name].annotation
        if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool) and kind is not bool:
            raise InputError(f"{where}: expected {kind.__name__} for {name!r} in [{table}] {part.name}, found {value!r}")


def _make(recipe: Recipe, table: str, part: Part, make: Callable[..., _Made], *given: object) -> _Made:
    try:
        return make(*given, **part.options)
    except ValueError as error:
        raise InputError(f"recipe {recipe.name!r}: expected other options of [{table}] {part.name}: {error}") from None


def network_of(recipe: Recipe) -> nn.Sequential:
    """The untrained network; draws from torch's generator."""
    def inner(shape: tuple[int, ...]) -> Binarizer:
        return _make(recipe, "binarizer", recipe.binarizer, BINARIZERS[recipe.binarizer.name], shape)

    style = Style(recipe.activation_bits, recipe.edge_bits, inner, Surrogate(recipe.surrogate), recipe.sample_std,
                  recipe.centred)
    network = ARCHITECTURES[recipe.architecture].build(style)
    if recipe.start:
        adopt(network, ARCHITECTURES[recipe.architecture], load(zoo.find(recipe.start)))
    if recipe.codebook is not None:
        _wrap(recipe, recipe.codebook, network)
    return network


def _wrap(recipe: Recipe, codebook: Part, network: nn.Module) -> None:
    """Put codebooks around the binarizers of 3×3 convolutions, of larger kernels too where codewords are rows; not the first layer's."""
    sizes = range(4, 12) if codebook.options.get("unit") == "row" else (3,)
    chosen = [layer for layer in weighted_layers(network)[1:] if isinstance(layer, BinaryConv2d) and layer.kernel in sizes]
    inners = [layer.weight for layer in chosen if isinstance(layer.weight, Binarizer)]
    if not inners:
        raise InputError(f"recipe {recipe.name!r}: expected convolutions behind the first layer with kernels for the [codebook] "
                         f"{codebook.name}, found none in {recipe.architecture!r}")
    shared = Shared(inners)
    for layer, inner in zip(chosen, inners, strict=True):
        layer.weight = _make(recipe, "codebook", codebook, CODEBOOKS[codebook.name], inner, shared)


def weighted_layers(network: nn.Module) -> list[BinaryConv2d | BinaryLinear]:
    """The layers that have weights, in order."""
    return [module for module in network.modules() if isinstance(module, BinaryConv2d | BinaryLinear)]


def binarizers_of(network: nn.Module) -> list[Binarizer]:
    """The binarizers of a network's layers, in order; of one around another only the outer."""
    return [layer.weight for layer in weighted_layers(network) if isinstance(layer.weight, Binarizer)]


def binarizers_by_name(network: nn.Module) -> dict[str, Binarizer]:
    """The same under the names of their layers."""
    layers = {layer: name for name, layer in network.named_modules()}
    return {layers[layer]: layer.weight for layer in weighted_layers(network) if isinstance(layer.weight, Binarizer)}


def hook_of(recipe: Recipe, binarizers: Sequence[Binarizer]) -> GradientHook | None:
    """The gradient hook, if there is one."""
    return None if recipe.hook is None else _make(recipe, "hook", recipe.hook, HOOKS[recipe.hook.name], binarizers)


def loss_of(recipe: Recipe, network: nn.Module, count: int) -> ExtraLoss | None:
    """The extra loss for `count` training images, if there is one."""
    if recipe.loss is None:
        return None
    features = weighted_layers(network)[-1].weight.latent.shape[1]
    return _make(recipe, "loss", recipe.loss, LOSSES[recipe.loss.name], network, count, features)


def optimizers_of(recipe: Recipe, network: nn.Module, loss: ExtraLoss | None) -> list[torch.optim.Optimizer]:
    """The optimizers of all parameters of network and loss; beside one that is for binary weights alone, Adam takes the others."""
    part = recipe.optimizer
    every = [*network.named_parameters(), *([] if loss is None else loss.named_parameters("loss"))]
    if part.name in OPTIMIZERS:
        first = _make(recipe, "optimizer", part, OPTIMIZERS[part.name], network)
        taken = {id(parameter) for group in first.param_groups for parameter in group["params"]}
        return [first, adam([], [parameter for _, parameter in every if id(parameter) not in taken], recipe.learning_rate)]
    latents: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in every:
        (latents if name.endswith(".latent") and not name.startswith("loss.") else others).append(parameter)
    return [_make(recipe, "optimizer", part, _OPTIMIZERS[part.name], latents, others, recipe.learning_rate)]


def schedule_of(recipe: Recipe) -> Schedule:
    """The schedule of the learning rate."""
    return _make(recipe, "schedule", recipe.schedule, SCHEDULES[recipe.schedule.name])
