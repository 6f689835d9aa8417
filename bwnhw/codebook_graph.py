"""Codebooks in a QONNX graph: a weight tensor written as Gather(codewords, index), whose index is stored in as few bytes as it needs."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bwnhw.graph import Op
from bwnhw.network import Codebook

INT64 = 7  # ONNX's number for it


def gathered(book: Codebook, name: str, words: str | None = None) -> tuple[tuple[Op, ...], Mapping[str, NDArray[np.generic]]]:
    """Operators whose last output is the ±1 weights (out, in, kh, kw) float32, and their constants.

    All names begin with `name`. `words` is the tensor of the codewords where it is there already: layers may share one.
    """
    codewords, index = book.flat
    constants: dict[str, NDArray[np.generic]] = {f"{name}.index": index.astype(np.min_scalar_type(max(0, len(codewords) - 1)))}
    if words is None:
        words = f"{name}.codebook"
        constants[words] = codewords.astype(np.float32)
    cast = Op("Cast", f"{name}.cast", (f"{name}.index",), (f"{name}.positions",), MappingProxyType({"to": INT64}))
    gather = Op("Gather", f"{name}.gather", (words, f"{name}.positions"), (f"{name}.kernels",), MappingProxyType({"axis": 0}))
    return (cast, gather), constants
