"""Codebooks in unrolled layers: LUTs per logical multiply-accumulate with and without one, beside da4ml and alkaid on the same matrix.

    python benchmarks/codebook_luts.py [--quick] [--json FILE] [--sizes 16 32 64] [--synthesise 16] [--trained BITS=FILE ...]

Layers n→n of 3×3 kernels for inputs of one bit: the first n filters and channels of the 64→64 convolution of the zoo's networks
`mnist-lenet3x3-w1a1-p2` to `-p6`, trained with codebooks of 4 to 64 codewords, and `-p2-pull` to `-p4-pull`, whose filters were drawn to
one another (other networks by `--trained`). The layer without a codebook is that of `mnist-lenet3x3-w1a1`, where their training began.
`--select` measures codebooks that are chosen from that layer with nothing trained after: complement-closed, by a `--hw-lambda`, or with a
`--pull`.

LUTs are the adder graphs' own cost (`bwnhw.adders.cost`: LUT6 without registers), for every side alike; `--synthesise` gives those of one
Yosys run at a size instead, and their ratio to that cost. All may be two levels above the least of two-operand adders. A peer that exceeds
that (alkaid's packed tables are added up one after the other here) or takes more than `--peer-seconds` isn't counted, and the row says so.
Exit status 1 where a floor at 64→64 isn't met or wasn't measured, by networks that were trained with a pull; `--quick` leaves 64→64 out,
and measures no floor.
"""

import argparse
import json
import multiprocessing
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peer_graphs import PEERS
from unrolled_luts import synthesised

from bwnhw import zoo
from bwnhw.adders import Graph, cost, solve
from bwnhw.adders.solve import EXTRA_LEVELS, least_levels
from bwnhw.close_filters import drawn
from bwnhw.codebooks import Selection, select
from bwnhw.files import write_text
from bwnhw.lower import lower
from bwnhw.network import ConvParams
from bwnhw.onnx_read import load

MODEL = "mnist-lenet3x3-w1a1"
TAPS = 9
BITS = (2, 3, 4, 5, 6)  # of an index: K = 4 .. 64
DRAWN = (2, 3, 4)  # of those, where there is a network whose filters were drawn to one another
PEER_SECONDS = 600.0
PULLED = "-pull"
FLOORS = {16: 0.65, 8: 0.5, 4: 0.35}  # K: LUTs with a codebook over those without, at 64→64
PEER_FLOOR = 0.8  # over the better peer's, at the same K

Matrix = NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """A layer size→size with K `words` (512: no codebook): LUTs and levels of ours, LUTs of each peer (None: not counted, for the reason in
    `notes`), memory bits of the folded form, codebook included. `held`: to the floors."""

    size: int
    words: int
    held: bool
    luts: int
    levels: int
    limit: int
    peers: dict[str, int | None]
    notes: dict[str, str]
    memory_bits: int

    @property
    def per_mac(self) -> float:
        """LUTs per logical multiply-accumulate."""
        return self.luts / (self.size * self.size * TAPS)

    @property
    def peer(self) -> int | None:
        """LUTs of the better peer that counts."""
        return min((luts for luts in self.peers.values() if luts is not None), default=None)


def trained(model: str) -> NDArray[np.int8]:
    """Weights (64, 64, 3, 3) of ±1 of a model's last 3×3 convolution."""
    params = lower(load(zoo.find(model))).params
    return [node.weights for node in params if isinstance(node, ConvParams) and node.weights.shape == (64, 64, 3, 3)][-1]


def matrix_of(weights: NDArray[np.int8]) -> Matrix:
    """(out, in, kh, kw) as (rows, inputs), channels innermost as in a window's beat."""
    return np.ascontiguousarray(weights.astype(np.int64).transpose(0, 2, 3, 1).reshape(len(weights), -1))


def peer_luts(name: str, matrix: Matrix, seconds: float) -> tuple[int | None, str]:
    """LUTs of a peer's graph, or why there are none. In a process of its own, which is ended after `seconds`."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        try:
            graph = pool.apply_async(PEERS[name], (matrix, 1, EXTRA_LEVELS)).get(seconds)
        except multiprocessing.TimeoutError:
            return None, f"not finished in {seconds:.0f} s"
    limit = least_levels(matrix) + EXTRA_LEVELS
    return (cost(graph), "") if graph.levels <= limit else (None, f"{graph.levels} levels, {cost(graph)} LUTs")


def selected(weights: NDArray[np.int8], selection: Selection) -> NDArray[np.int8]:
    """The weights with every kernel replaced by the nearest codeword, or the one that the pull asks for; nothing is trained."""
    book = drawn(weights, select([weights], selection), selection)
    return book.codewords[0][book.index]


def ours(weights: NDArray[np.int8], size: int, *, words: bool) -> Graph:
    """Our graph for the first filters and channels, as an unrolled layer has it: by channel too where there are code`words`; a row may come
    out negated, which the threshold behind it takes as it is."""
    matrix = matrix_of(weights[:size, :size])
    groups = tuple(tuple(range(channel, matrix.shape[1], size)) for channel in range(size if words else 0))
    return solve(matrix, 1, least_levels(matrix) + EXTRA_LEVELS, family="xc7", exact=False, groups=groups)


def measured(weights: NDArray[np.int8], size: int, selection: Selection | None, seconds: float, *, held: bool = False) -> Row:
    """A row; `selection` None is the layer without a codebook, which the peers aren't given."""
    bits, memory = None if selection is None else selection.bits, size * size * TAPS
    if selection is not None:
        memory = size * size * selection.bits + selection.shape(weights.shape).codebook_bits
    matrix = matrix_of(weights[:size, :size])
    limit = least_levels(matrix) + EXTRA_LEVELS
    graph = ours(weights, size, words=selection is not None)
    found = {name: peer_luts(name, matrix, seconds) for name in PEERS} if selection is not None and seconds else {}
    return Row(size, 1 << (TAPS if bits is None else bits), held, cost(graph), graph.levels, limit,
               {name: luts for name, (luts, _) in found.items()}, {name: why for name, (_, why) in found.items() if why}, memory)


def failures(row: Row, plain: Row) -> list[str]:
    """The floors that a row at 64→64 doesn't meet."""
    found = []
    if row.luts > FLOORS.get(row.words, 1) * plain.luts:
        found.append(f"K = {row.words}: {row.luts / plain.luts:.2f} of the layer without a codebook, above {FLOORS.get(row.words, 1)}")
    if row.peer is None:
        found.append(f"K = {row.words}: no peer to compare with")
    elif row.luts > PEER_FLOOR * row.peer:
        found.append(f"K = {row.words}: {row.luts / row.peer:.2f} of the better peer, above {PEER_FLOOR}")
    return found


def layers(weights: NDArray[np.int8], options: argparse.Namespace) -> dict[str, tuple[Selection, NDArray[np.int8]]]:
    """By name, that of a network or what was chosen: how its codebook was, and the layer's weights."""
    found = {}
    files = dict(pair.split("=", 1) for pair in options.trained)
    for bits in (words.bit_length() - 1 for words in options.words):
        if options.select:
            selection = Selection(bits, complement_closed=options.select == "closed",
                                  hw_lambda=options.hw_lambda if options.select == "hw" else 0.0,
                                  pull=options.pull if options.select == "pull" else 0.0)
            found[f"K = {1 << bits}, {options.select}"] = selection, selected(weights, selection)
            continue
        own = (f"{MODEL}-p{bits}", *([f"{MODEL}-p{bits}{PULLED}"] if bits in DRAWN else []))
        for name in (files[str(bits)],) if str(bits) in files else own:
            found[Path(name).stem] = Selection(bits), trained(name)
    return found


def synthesise(found: dict[str, NDArray[np.int8]], size: int) -> int:
    """Print LUTs by one Yosys run, combinational, beside the graphs' own cost."""
    graphs = {name: ours(weights, size, words=name != "without") for name, weights in found.items()}
    luts = synthesised(graphs, (False,))
    for name, graph in graphs.items():
        here, plain = luts[f"{name} combinational"], luts["without combinational"]
        print(f"{size}→{size} {name}: {here} LUTs by Yosys, {here / cost(graph):.3f} of the graph's own {cost(graph)}, "
              f"ratio {here / plain:.2f}")
    return 0


def main() -> int:
    """Measure, print, compare with the floors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="16→16 only")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--peer-seconds", type=float, default=PEER_SECONDS, help="0: no peers")
    parser.add_argument("--trained", action="append", default=[], metavar="BITS=FILE", help="a network in place of the zoo's")
    parser.add_argument("--select", choices=["closed", "hw", "pull"], help="codebooks of the network without one, nothing trained after")
    parser.add_argument("--hw-lambda", type=float, default=0.01)
    parser.add_argument("--pull", type=float, default=0.6)
    parser.add_argument("--words", type=int, nargs="+", default=[1 << bits for bits in BITS])
    parser.add_argument("--synthesise", type=int, metavar="SIZE", help="only this: Yosys at a size, beside the graphs' cost")
    options = parser.parse_args()
    weights, rows, missed, heads = trained(MODEL), [], list[str](), list[str]()
    books = layers(weights, options)
    if options.synthesise:
        return synthesise({"without": weights, **{name: book for name, (_, book) in books.items()}}, options.synthesise)
    for size in [16] if options.quick else options.sizes:
        plain = measured(weights, size, None, options.peer_seconds)
        rows.append(plain)
        print(f"{size}→{size} without: {plain.luts} LUTs, {plain.per_mac:.3f} per MAC, {plain.levels} of {plain.limit} levels, "
              f"{plain.memory_bits} bits folded", flush=True)
        for name, (selection, book) in books.items():
            row = measured(book, size, selection, options.peer_seconds, held=name.endswith(PULLED))
            rows.append(row)
            beside = ", ".join(f"{name} {row.notes.get(name) or luts}" for name, luts in row.peers.items())
            ratio = f"{row.luts / row.peer:.2f}" if row.peer else "none"
            print(f"{size}→{size} K = {row.words}, {name}: {row.luts} LUTs, {row.per_mac:.3f} per MAC, ratio {row.luts / plain.luts:.2f}; "
                  f"to the better peer {ratio} ({beside}); {row.memory_bits} bits folded", flush=True)
            missed += failures(row, plain) if size == 64 and row.held else []
            heads += [f"{size}→{size} K = {row.words}: {row.luts / plain.luts:.2f}"] if row.held else []
            if options.json:
                write_text(options.json, json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if not options.quick and not any(row.held and row.size == 64 for row in rows):
        missed.append("64→64 wasn't measured")
    verdict = "no floor measured (quick)" if options.quick else f"floors NOT met: {'; '.join(missed)}" if missed else "floors met"
    print(f"codebook_luts, graphs' own cost: {', '.join(heads)}; {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
