"""The weights of a model file in a torch network of the same architecture, to be trained further."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from bwnhw.errors import ModelError
from bwnhw.graph import Graph, Op
from bwnhw.lower import lower
from bwnhw.lowering.constants import Constants
from bwnhw.lowering.weights import conv_weights, dense_weights
from bwnhw.models.architectures import Architecture
from bwnhw.models.binarize import ScaleMode
from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.export import to_graph
from bwnhw.models.layers import BinaryConv2d, BinaryLinear, QuantWeight, ScoreScale
from bwnhw.network import Conv, ConvParams, Network, ThresholdParams
from bwnhw.ops import label, number
from bwnhw.simplify import simplify

_KINDS = {BinaryConv2d: "Conv", BinaryLinear: "MatMul", nn.BatchNorm1d: "BatchNormalization", nn.BatchNorm2d: "BatchNormalization",
          ScoreScale: "Mul"}


def adopt(network: nn.Sequential, architecture: Architecture, graph: Graph) -> None:
    """Give a network, still without codebooks, the weights, batch norms and score scale of `graph`.

    A file holds signs: every latent gets the mean size of those that its binarizer drew, or the layer's scale where that follows from the
    latents. ModelError where the graph isn't what the network is exported as with these weights, to the last threshold.
    """
    graph = simplify(graph)
    constants = Constants(graph)
    inner = [op for op in graph.ops[:-1] if op.inputs[0] not in constants and op.kind in ("Conv", "MatMul", "BatchNormalization")]
    ops = [*inner, graph.ops[-1]]
    modules = [module for module in network if type(module) in _KINDS]
    wanted, found = [_KINDS[type(module)] for module in modules], [op.kind for op in ops]
    if wanted != found:
        raise ModelError(f"the model to start from: expected the layers {', '.join(wanted)}, found {', '.join(found)}")
    with torch.no_grad():
        for op, module in zip(ops, modules, strict=True):
            match module:
                case BinaryConv2d() | BinaryLinear():
                    _weights(constants, op, module.weight)
                case nn.BatchNorm1d() | nn.BatchNorm2d():
                    tensors = (module.weight, module.bias, module.running_mean, module.running_var)
                    for name, tensor in zip(op.inputs[1:], tensors, strict=True):
                        _fill(tensor, graph.constants.get(name), op)
                    module.eps = number(op, "epsilon")
                case ScoreScale():
                    _fill(module.log_scale, graph.constants.get(op.inputs[1]), op)
                    module.log_scale.log_()
    network.eval()
    if not _alike(lower(graph), lower(to_graph(network, architecture))):
        raise ModelError("the model to start from: expected the recipe's architecture, found other activations, shapes or scales")


def _fill(tensor: Tensor | None, array: object, op: Op) -> None:
    """Copy a constant of the graph."""
    if tensor is None or not isinstance(array, np.ndarray) or array.size != tensor.numel():
        raise ModelError(f"{label(op)}: expected constants as the recipe's architecture has them, found others")
    tensor.copy_(torch.from_numpy(array.astype(np.float32)).reshape(tensor.shape))


def _weights(constants: Constants, op: Op, holder: nn.Module) -> None:
    """Set the latents of a layer's binarizer or quantiser."""
    weights = (conv_weights if op.kind == "Conv" else dense_weights)(constants, op.inputs[1], op)
    if not isinstance(holder, Binarizer | QuantWeight) or weights.params.weights.size != holder.latent.numel():
        raise ModelError(f"{label(op)}: expected weights of the recipe's shape, found {weights.params.weights.shape}")
    values = torch.from_numpy(weights.params.weights.astype(np.float32)).reshape(holder.latent.shape)
    scale = torch.tensor([float(row) for row in weights.scale]).reshape(-1, *(1,) * (values.dim() - 1))
    if isinstance(holder, QuantWeight):
        holder.latent.copy_(scale * values)
        return
    follows = holder.mode in (ScaleMode.LAYER, ScaleMode.CHANNEL)
    holder.latent.copy_(values * (scale if follows else holder.latent.abs().mean()))
    if holder.learned_scale is not None:
        holder.learned_scale.fill_(float(scale.mean()))


def _alike(first: Network, second: Network) -> bool:
    """Whether two networks compute the same integers with the same weights; codebooks and names don't count."""
    nodes = [[replace(node, codebook=None) if isinstance(node, Conv) else node for node in network.topology.nodes]
             for network in (first, second)]
    if nodes[0] != nodes[1]:
        return False
    for one, other in zip(first.params, second.params, strict=True):
        match one, other:
            case ConvParams(), ConvParams():
                same = np.array_equal(one.weights, other.weights)
            case ThresholdParams(), ThresholdParams():
                same = np.array_equal(one.thresholds, other.thresholds) and np.array_equal(one.flip, other.flip)
            case _:
                same = True
        if not same:
            return False
    return True
