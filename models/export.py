"""A trained module becomes a QONNX graph: one rule per kind of layer, inference only, batch 1.

Binary weights are written as their ±1 bits behind a `BipolarQuant` with the layer's scale, as in QONNX's own model zoo, but stored as int8
behind a Cast, in a quarter of the bytes; weights of more bits as they are behind a signed `Quant`; kernels of a codebook as
Gather(codewords, index) behind a `BipolarQuant`.
"""

from functools import singledispatch

import numpy as np
from numpy.typing import DTypeLike, NDArray
from onnx import TensorProto
from torch import nn

from bwnhw.codebook_graph import gathered
from bwnhw.errors import ModelError
from bwnhw.graph import Attribute, Graph, Op, Value
from bwnhw.models.architectures import Architecture
from bwnhw.models.binarizers.base import Binarizer
from bwnhw.models.codebooks.base import CodebookBinarizer
from bwnhw.models.layers import Affine, BinaryConv2d, BinaryLinear, CentredSignAct, QuantAct, QuantWeight, ScoreScale, SignAct
from bwnhw.models.residual import Residual
from bwnhw.models.transformer import Block, Tokens
from bwnhw.network import Codebook


class _Writer:
    """The graph while it grows: operators in order, constants, and the name of the tensor written last."""

    def __init__(self, name: str) -> None:
        self.ops: list[Op] = []
        self.constants: dict[str, NDArray[np.generic]] = {}
        self.last = name
        self.layer = ""  # prefix of the names that the current layer makes

    def constant(self, name: str, value: object, dtype: DTypeLike = np.float32) -> str:
        """Add a constant of the current layer; returns its tensor name."""
        key = f"{self.layer}.{name}"
        self.constants[key] = np.array(value, dtype=dtype, order="C")
        return key

    def apply(self, kind: str, *constants: str, **attrs: Attribute) -> None:
        """Add an operator that reads the last tensor, then the constants."""
        self.last = self.operator(kind, (self.last, *constants), **attrs)

    def operator(self, kind: str, inputs: tuple[str, ...], **attrs: Attribute) -> str:
        """Add an operator on named tensors; returns its output's name."""
        name = f"{self.layer}.{kind}"
        self.ops.append(Op(kind, name, inputs, (f"{name}.out",), attrs))
        return f"{name}.out"


def to_graph(network: nn.Sequential, architecture: Architecture) -> Graph:
    """The network in eval mode as a graph from raw pixels (1, C, H, W) float32 to scores (1, classes) float32.

    ModelError where a layer has no rule, or an option the rule doesn't write.
    """
    writer = _Writer("image")
    for index, module in enumerate(network):
        writer.layer = f"layer{index}"
        write(module, writer)
    writer.ops[-1] = _renamed(writer.ops[-1], "scores")
    image = Value("image", (1, *architecture.image), "float32", f"UINT{architecture.pixel_bits}")
    return Graph(tuple(writer.ops), (image,), (Value("scores", (1, architecture.classes), "float32"),), writer.constants)


def _renamed(op: Op, output: str) -> Op:
    return Op(op.kind, op.name, op.inputs, (output,), op.attrs)


_REASONS: dict[type[nn.Module], str] = {
    Residual: "Residual, a sum of two branches, and the hardware is a chain",
    Tokens: "Tokens of a transformer, whose LayerNorms divide by a deviation of each image, so that there is no static threshold",
    Block: "Block of a transformer, whose LayerNorm divides by a deviation of each image, so that there is no static threshold",
}


@singledispatch
def write(module: nn.Module, writer: _Writer) -> None:
    """Add the operators of one layer to the writer."""
    raise ModelError(f"layer {writer.layer!r}: expected a layer that export knows, found {type(module).__name__}")


@write.register(Residual)
@write.register(Block)
@write.register(Tokens)
def _(module: nn.Module, writer: _Writer) -> None:
    raise ModelError(f"layer {writer.layer!r}: expected a layer that export knows, found {_REASONS[type(module)]}")


@write.register
def _(module: Affine, writer: _Writer) -> None:
    writer.apply("Mul", writer.constant("factor", module.factor))
    if module.offset:
        writer.apply("Sub", writer.constant("offset", module.offset))


@write.register
def _(module: BinaryConv2d, writer: _Writer) -> None:
    writer.apply("Conv", _weights(module.weight, writer), kernel_shape=(module.kernel,) * 2, pads=(module.padding,) * 4,
                 strides=(module.stride,) * 2, dilations=(1, 1), group=1)
    _turn(module.weight, writer, (1, -1, 1, 1))


@write.register
def _(module: BinaryLinear, writer: _Writer) -> None:
    writer.apply("MatMul", _weights(module.weight, writer))
    _turn(module.weight, writer, (1, -1))


def _turn(weight: nn.Module, writer: _Writer, shape: tuple[int, ...]) -> None:
    """Times -1 in the channels whose scale is negative: BipolarQuant gives sign(bits / scale) · scale, which is |scale| · bits."""
    if isinstance(weight, Binarizer):
        scale = weight.export_bits()[1]
        if (scale < 0).any():
            writer.apply("Mul", writer.constant("turn", np.sign(scale).reshape(shape)))


def _weights(weight: Binarizer | QuantWeight, writer: _Writer) -> str:
    """The weights' tensor; a matrix (out, in) is written as MatMul's (in, out)."""
    book = weight.codebook() if isinstance(weight, CodebookBinarizer) else None
    if isinstance(weight, CodebookBinarizer) and book is not None:
        _, scale = weight.export_bits()
        return writer.operator("BipolarQuant", (_gathered(book, writer), writer.constant("weight_scale", _scalar(np.abs(scale)))))
    if isinstance(weight, Binarizer):
        bits, scale = weight.export_bits()
        if bits.ndim == 2:
            bits, scale = bits.T, scale.T
        stored = writer.operator("Cast", (writer.constant("weight", bits, np.int8),), to=TensorProto.FLOAT)
        return writer.operator("BipolarQuant", (stored, writer.constant("weight_scale", _scalar(np.abs(scale)))))
    values, scale = weight().detach().cpu().numpy(), weight.scale().cpu().numpy()
    names = (writer.constant("weight", values.T if values.ndim == 2 else values), writer.constant("weight_scale", scale),
             writer.constant("weight_zero", 0.0), writer.constant("weight_bits", float(weight.bits)))
    return writer.operator("Quant", names, signed=1, narrow=1, rounding_mode="ROUND")


def _gathered(book: Codebook, writer: _Writer) -> str:
    """The ±1 weights as Gather(codewords, index); layers with the same codewords share them."""
    words = book.flat[0]
    known = next((name for name, array in writer.constants.items() if name.endswith(".codebook") and np.array_equal(array, words)), None)
    ops, constants = gathered(book, writer.layer, known)
    writer.ops += ops
    writer.constants |= constants
    return ops[-1].outputs[0]


def _scalar(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    return scale.reshape(()) if scale.size == 1 else scale


@write.register(nn.BatchNorm1d)
@write.register(nn.BatchNorm2d)
def _(module: nn.BatchNorm1d | nn.BatchNorm2d, writer: _Writer) -> None:
    parts = {"gamma": module.weight, "beta": module.bias, "mean": module.running_mean, "variance": module.running_var}
    for name, tensor in parts.items():
        if tensor is None:
            raise ModelError(f"layer {writer.layer!r}: expected a batch norm with {name}, found none")
    names = [writer.constant(name, tensor.detach().cpu().numpy()) for name, tensor in parts.items() if tensor is not None]
    writer.apply("BatchNormalization", *names, epsilon=float(module.eps))


@write.register
def _(module: SignAct, writer: _Writer) -> None:
    del module
    writer.apply("BipolarQuant", writer.constant("act_scale", 1.0))


@write.register
def _(module: CentredSignAct, writer: _Writer) -> None:
    writer.apply("Sub", writer.constant("act_mean", module.mean.cpu().numpy()))
    writer.apply("BipolarQuant", writer.constant("act_scale", 1.0))


@write.register
def _(module: QuantAct, writer: _Writer) -> None:
    scale = writer.constant("act_scale", module.scale.cpu().numpy())
    zero, bits = writer.constant("act_zero", 0.0), writer.constant("act_bits", float(module.bits))
    writer.apply("Quant", scale, zero, bits, signed=0, narrow=0, rounding_mode="ROUND")


@write.register
def _(module: nn.MaxPool2d, writer: _Writer) -> None:
    kernel = _pair(module.kernel_size)
    if _pair(module.padding) != (0, 0) or _pair(module.dilation) != (1, 1) or module.ceil_mode:
        raise ModelError(f"layer {writer.layer!r}: expected a max pool without padding, dilation and ceil_mode, found {module}")
    writer.apply("MaxPool", kernel_shape=kernel, strides=_pair(module.stride), pads=(0, 0, 0, 0))


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


@write.register
def _(module: nn.Flatten, writer: _Writer) -> None:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise ModelError(f"layer {writer.layer!r}: expected a Flatten of all but the batch, found {module}")
    writer.apply("Flatten", axis=1)


@write.register
def _(module: ScoreScale, writer: _Writer) -> None:
    writer.apply("Mul", writer.constant("score_scale", module.scale().detach().cpu().numpy()))
