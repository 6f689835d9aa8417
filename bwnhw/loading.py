"""Weights that are loaded at run time: which memories a loadable design has, in which order one stream of words fills them, and with what.

A loadable design is that of its topology's worst case (`bwnhw.worst_case`), so it serves every network whose worst case lays out alike.
Its load chain passes every memory: each takes its own words, entry 0 first, and hands the rest on. The stream is the words of
`load_tables` in order, one word of `WORD` bits per entry (an entry in the low bits), then the design's signature, which must fall out at
the end.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.array_block import Array
from bwnhw.blocks import Core, Design, Reduce, Scaler, Stage, Thresholds, Unrolled
from bwnhw.compressor import prefix_parity
from bwnhw.errors import PlanError
from bwnhw.network import Network, Scale, ScaleParams, Topology
from bwnhw.tables import ArrayTables, search_trees

WORD = 32  # bits of a word of the load stream
SCORE_BITS = 64  # of the widest scaled scores


@dataclass(frozen=True)
class LoadTable:
    """One memory on the load chain: `depth` entries of `bits` ≤ WORD each."""

    name: str
    depth: int
    bits: int


def with_scale(network: Network) -> Network:
    """The network with scaled scores of `SCORE_BITS` bits, its scores times 1 where it has no Scale, the same integers in any case.

    So one loadable design serves networks whose classes have scales of their own, of any width, and networks whose classes have none.
    """
    nodes, wide = network.topology.nodes, {"lo": -1 << SCORE_BITS - 1, "hi": (1 << SCORE_BITS - 1) - 1}
    last = nodes[-1]
    if isinstance(last, Scale):
        return replace(network, topology=Topology((*nodes[:-1], replace(last, out=replace(last.out, **wide)))))
    channels = last.out.channels
    once = ScaleParams(np.ones(channels, np.int64), np.zeros(channels, np.int64))
    scale = Scale((len(nodes) - 1,), replace(last.out, **wide))
    return Network(Topology((*nodes, scale)), (*network.params, once), (*network.meanings, None))


def signature(design: Design) -> int:
    """The word that ends a load: 32 bits that another design's load is unlikely to end with."""
    return zlib.crc32(repr(design).encode())


def load_tables(design: Design) -> tuple[LoadTable, ...]:
    """Every memory of a loadable design in the order of the chain, stage by stage, core by core. Raises PlanError for a core without."""
    return tuple(table for stage in design.stages for table in stage_load_tables(stage))


def stage_load_tables(stage: Stage) -> tuple[LoadTable, ...]:
    """The memories of one stage."""
    return tuple(LoadTable(f"{stage.name}.{type(core).__name__.lower()}_{number}.{name}", depth, bits)
                 for number, core in enumerate(stage.cores) for name, depth, bits in core_tables(core))


def core_tables(core: Core) -> Iterator[tuple[str, int, int]]:
    """(name, depth, bits) of a core's memories in chain order."""
    for name, depth, bits in _whole_tables(core):
        for at in range(0, bits, WORD):
            yield (f"{name}[{min(bits, at + WORD) - 1}:{at}]" if bits > WORD else name), depth, min(WORD, bits - at)


def _whole_tables(core: Core) -> Iterator[tuple[str, int, int]]:
    """Likewise, before entries wider than a word are cut."""
    match core:
        case Array():
            edge = ("edge", core.offsets, core.acc_bits + core.flips)
            for row in range(core.pe):
                parts = [*((f"weights_c{column}", core.fold_depth, lanes) for column, (_, lanes) in enumerate(_columns(core))), edge]
                for name, depth, bits in parts if row % 2 == 0 else parts[::-1]:
                    yield f"r{row}.{name}", depth, bits
        case Thresholds():
            for step in range(core.out_bits):
                if core.flips:
                    yield f"flips_s{step}", core.groups, core.lanes
                for lane in range(core.lanes):
                    yield f"threshold_l{lane}_s{step}", core.groups << step, core.bits + 1
        case Scaler():
            for lane in range(core.lanes):
                yield f"mult_l{lane}", core.groups, core.mult_bits
                yield f"offset_l{lane}", core.groups, core.out_bits + 1
        case Reduce() if core.flips:
            yield "flips", core.groups, core.lanes
        case Unrolled():
            raise PlanError("loadable: an unrolled layer is made of its weights, so expected folded engines")


def _columns(array: Array) -> Iterator[tuple[int, int]]:
    """(first lane, lanes) of every column of an array."""
    for _ in range(array.planes):
        for first in range(0, array.lanes, array.pe_lanes):
            yield first, min(array.pe_lanes, array.lanes - first)


def load_words(design: Design, tables: Sequence[Sequence[Any]]) -> NDArray[np.uint32]:
    """The words of a load, the signature included; `tables` per stage and core, as `bwnhw.tables` makes them.

    Raises PlanError where a value needs more bits than the design has for it.
    """
    words: list[NDArray[np.uint32]] = []
    for stage, of_cores in zip(design.stages, tables, strict=True):
        for core, values in zip(stage.cores, of_cores, strict=True):
            for (name, depth, bits), entries in zip(_whole_tables(core), _entries(core, values), strict=True):
                if entries.shape != (depth, bits):
                    raise PlanError(f"loadable: {stage.name} {name} must have {depth} entries of {bits} bits, not {entries.shape}")
                words += [_packed(entries[:, at:at + WORD]) for at in range(0, bits, WORD)]
    return np.concatenate([*words, np.array([signature(design)], np.uint32)])


def _entries(core: Core, tables: Any) -> Iterator[NDArray[np.bool_]]:
    """The bits (depth, bits) of every whole table of a core."""
    match core, tables:
        case Array(), ArrayTables():
            flips = np.tile(tables.flips, core.offsets // core.groups)
            for row in range(core.pe):
                edge = np.concatenate([_bits(tables.offsets[row], core.acc_bits, wraps=True), flips[row, :, None]][:1 + core.flips], axis=1)
                parts = [*(prefix_parity(tables.weights[row, :, first:first + lanes]) for first, lanes in _columns(core)), edge]
                yield from parts if row % 2 == 0 else parts[::-1]
        case Thresholds(), (thresholds, flips):
            for tree in search_trees(thresholds, flips.astype(np.bool_), core):
                if core.flips:
                    yield flips.astype(np.bool_)
                yield from (_bits(lane.reshape(-1), core.bits + 1, core.signed) for lane in tree)
        case Scaler(), (mult, offset):
            for lane in range(core.lanes):
                yield _bits(mult[:, lane], core.mult_bits)
                yield _bits(offset[:, lane], core.out_bits + 1)
        case Reduce(), np.ndarray() if core.flips:
            yield tables


def _bits(values: NDArray[np.int64], bits: int, signed: bool = True, wraps: bool = False) -> NDArray[np.bool_]:
    """(n, bits) of integers in two's complement, the lowest bit first. Raises PlanError where they don't fit and mayn't wrap."""
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not wraps and not all(lo <= int(value) <= hi for value in (values.min(), values.max())):
        raise PlanError(f"loadable: values must be in {lo}..{hi}, the worst case of the topology, not {values.min()}..{values.max()}")
    places = np.minimum(np.arange(bits), 63)  # beyond them stands the sign
    bits_of: NDArray[np.bool_] = (values[:, None] >> places) & 1 == 1
    return bits_of


def _packed(bits: NDArray[np.bool_]) -> NDArray[np.uint32]:
    powers = np.uint32(1) << np.arange(bits.shape[1], dtype=np.uint32)
    words: NDArray[np.uint32] = (bits * powers).sum(axis=1, dtype=np.uint32)
    return words
