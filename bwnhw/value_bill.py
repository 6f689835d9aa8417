"""What the values of an array's tables spare, where a network with its weights is known.

The array's bill reckons with random weights and with offsets that differ in nearly every bit. A bit of a table that is the same in all
its entries is a wire, and bits that are equal to another or its inverse are made once: weights whose taps come from few codewords have
many such.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bwnhw.array_bill import offset_tables, padded_depth, tables_apart
from bwnhw.array_block import Array
from bwnhw.bill import Bill
from bwnhw.blocks import Stage
from bwnhw.compressor import prefix_parity
from bwnhw.fabric import Part, index_bits
from bwnhw.network import Network
from bwnhw.rom_bill import rom_luts
from bwnhw.stage_tables import stage_tables
from bwnhw.tables import ArrayTables


def spared(network: Network, stage: Stage, family: str) -> Bill:
    """What is to be added to the bill of a stage's array, whose tables are those of the network; LUTs and the like are below 0."""
    array = stage.array
    if array is None or array.loaded or not (tables_apart(array, family) or array.offsets > 1):
        return Bill()
    tables = stage_tables(network, stage)[0]
    assert isinstance(tables, ArrayTables)  # the array is the stage's first core
    found = _offsets(array, tables, family)
    return found + Bill(Part(_weights(array, tables, family))) if tables_apart(array, family) else found


def varying(words: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many different bits the tables (tables, entries, bits) have, each up to inversion; bits that never change aren't counted."""
    relative = np.packbits((words ^ words[:, :1]).swapaxes(1, 2), axis=-1)
    at = np.broadcast_to(np.arange(len(words), dtype=">u4")[:, None, None], (*relative.shape[:2], 1)).copy().view(np.uint8)
    seen = np.unique(np.concatenate([at, relative], axis=-1)[relative.any(axis=-1)], axis=0)
    return np.bincount(seen[:, :at.shape[-1]].copy().view(">u4")[:, 0].astype(np.int64), minlength=len(words))


def _weights(array: Array, tables: ArrayTables, family: str) -> int:
    """LUTs of the weights' tables less those of random ones."""
    def columns() -> Iterator[int]:
        for first in range(0, array.lanes, array.pe_lanes):
            words = prefix_parity(tables.weights[..., first:first + array.pe_lanes])
            for row, bits in enumerate(varying(words).tolist()):
                yield (_table(array, row, words[row], bits, family) - _random(array, row, words.shape[-1], family)) * array.planes
    return sum(columns())


def _table(array: Array, row: int, words: NDArray[np.bool_], bits: int, family: str) -> int:
    """LUTs of a row's table, of which so many bits are different. One of few different words is a table of their numbers with the words
    behind it: a codebook whose codewords have taps in common makes such."""
    few = len(np.unique(np.packbits(words, axis=1), axis=0))
    return min(_random(array, row, bits, family), _random(array, row, index_bits(few), family) + rom_luts(bits, few, array.fill, family))


def _random(array: Array, row: int, bits: int, family: str) -> int:
    """LUTs of a row's table of random bits."""
    depth = padded_depth(array, row)
    return rom_luts(bits, depth, array.fill, family, array.fold_depth - depth)


def _offsets(array: Array, tables: ArrayTables, family: str) -> Bill:
    """The offsets' tables less those that differ in nearly every bit."""
    found = Bill()
    if array.offsets == 1:
        return found
    words = (tables.offsets[..., None] >> np.arange(array.acc_bits) & 1).astype(bool)
    changing = (words != words[:, :1]).any(axis=1).sum(axis=1)
    usual = offset_tables(array, family)
    less = Bill(usual.part.times(-1), Counter({name: -count for name, count in usual.features.items()}))
    for bits, width in zip(varying(words).tolist(), changing.tolist(), strict=True):
        found += offset_tables(array, family, (bits, width)) + less
    return found
