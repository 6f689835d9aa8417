"""Codebooks in unrolled layers: LUTs per logical multiply-accumulate with and without one, beside da4ml and alkaid on the same matrix.

    python benchmarks/codebook_luts.py [--quick] [--json FILE] [--sizes 16 32 64]

Layers n→n of 3×3 kernels for inputs of one bit: the first n filters and channels of the 64→64 convolution of the zoo's
`mnist-lenet3x3-w1a1`, whose codebook (layer scope, by frequency over the whole layer) is chosen as `bwnhw compress` does; nothing is
trained after that. LUTs are the adder graphs' own cost (`bwnhw.adders.cost`: LUT6 without registers), not Yosys's, for every side alike.
All may be two levels above the least of two-operand adders. A peer that exceeds that (alkaid's packed tables are added up one after the
other here) or takes more than `--peer-seconds` isn't counted, and the row says so. Exit status 1 where a floor at 64→64 isn't met or
wasn't measured; `--quick` leaves 64→64 out, and measures no floor.
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

from bwnhw import zoo
from bwnhw.adders import cost, solve
from bwnhw.adders.solve import EXTRA_LEVELS, least_levels
from bwnhw.codebooks import Selection, mapped, select
from bwnhw.files import write_text
from bwnhw.lower import lower
from bwnhw.network import ConvParams
from bwnhw.onnx_read import load

MODEL = "mnist-lenet3x3-w1a1"
TAPS = 9
BITS = (2, 3, 4, 5, 6)  # of an index: K = 4 .. 64
PEER_SECONDS = 600.0
FLOORS = {16: 0.65, 8: 0.5, 4: 0.35}  # K: LUTs with a codebook over those without, at 64→64
PEER_FLOOR = 0.8  # over the better peer's, at the same K

Matrix = NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """A layer size→size with K `words` (512: no codebook): LUTs and levels of ours, LUTs of each peer (None: not counted, for the reason in
    `notes`), memory bits of the folded form, codebook included."""

    size: int
    words: int
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


def trained() -> NDArray[np.int8]:
    """Weights (64, 64, 3, 3) of ±1 of the model's last 3×3 convolution."""
    params = lower(load(zoo.find(MODEL))).params
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


def measured(weights: NDArray[np.int8], size: int, bits: int | None, seconds: float) -> Row:
    """A row; `bits` None is the layer without a codebook, which the peers aren't given. Both get every way of ours, by channel too."""
    part, memory = weights[:size, :size], size * size * TAPS
    if bits is not None:
        selection = Selection(bits)
        book = mapped(part, select([weights], selection), selection)
        part = book.codewords[0][book.index]
        memory = size * size * bits + selection.shape(weights.shape).codebook_bits
    matrix = matrix_of(part)
    limit = least_levels(matrix) + EXTRA_LEVELS
    graph = solve(matrix, 1, limit, groups=tuple(tuple(range(channel, matrix.shape[1], size)) for channel in range(size)))
    found = {name: peer_luts(name, matrix, seconds) for name in PEERS} if bits is not None else {}
    return Row(size, 1 << (TAPS if bits is None else bits), cost(graph), graph.levels, limit,
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


def main() -> int:
    """Measure, print, compare with the floors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="16→16 only")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--peer-seconds", type=float, default=PEER_SECONDS)
    options = parser.parse_args()
    weights, rows, missed, heads = trained(), [], list[str](), list[str]()
    for size in [16] if options.quick else options.sizes:
        plain = measured(weights, size, None, options.peer_seconds)
        rows.append(plain)
        print(f"{size}→{size} without: {plain.luts} LUTs, {plain.per_mac:.3f} per MAC, {plain.levels} of {plain.limit} levels, "
              f"{plain.memory_bits} bits folded", flush=True)
        for bits in BITS:
            row = measured(weights, size, bits, options.peer_seconds)
            rows.append(row)
            beside = ", ".join(f"{name} {row.notes.get(name) or luts}" for name, luts in row.peers.items())
            ratio = f"{row.luts / row.peer:.2f}" if row.peer else "none"
            print(f"{size}→{size} K = {row.words}: {row.luts} LUTs, {row.per_mac:.3f} per MAC, ratio {row.luts / plain.luts:.2f}; "
                  f"to the better peer {ratio} ({beside}); {row.memory_bits} bits folded", flush=True)
            missed += failures(row, plain) if size == 64 else []
            heads += [f"{size}→{size} K = {row.words}: {row.luts / plain.luts:.2f}"] if row.words in FLOORS else []
            if options.json:
                write_text(options.json, json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if not options.quick and 64 not in options.sizes:
        missed.append("64→64 wasn't measured")
    verdict = "no floor measured (quick)" if options.quick else f"floors NOT met: {'; '.join(missed)}" if missed else "floors met"
    print(f"codebook_luts, graphs' own cost: {', '.join(heads)}; {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
