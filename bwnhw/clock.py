"""The clock of a design on ECP5, estimated: the longest way from register to register of every block, from its parameters alone.

A way is counted in LUTs, carry chains and their bits, as Yosys maps the generators of `bwnhw.rtl` without wide multiplexers. The cells'
delays are nextpnr's of the default speed grade (6); what the routing adds is three numbers, fitted by `benchmarks/clock_accuracy.py` over
placed designs: docs/estimates.md states the error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bwnhw.array_block import Array
from bwnhw.blocks import Best, Design, Fifo, Reduce, Scaler, Stage, Thresholds, Unrolled, Window
from bwnhw.fabric import index_bits, memory

FAMILY = "ecp5"
REGISTER, BLOCK_RAM = 0.52, 5.83  # ns from the clock to the output
LUT, CHAIN, CHAIN_BIT, INTO_REGISTER = 0.24, 0.89, 0.035, 0.13  # ns; a chain's is into it and out of it
ROUTE, ROUTE_MORE, ROUTE_RAM = 0.759, 0.061, 0.772  # ns in front of every LUT and chain, once a way, and out of a block RAM
BANK = 16  # words of a piece of distributed RAM


@dataclass(frozen=True)
class Way:
    """LUTs and carry chains one behind the other between two registers, bits of the chains, and whether it begins at a block RAM."""

    luts: int = 0
    chains: float = 0
    bits: int = 0
    block_ram: bool = False

    def __add__(self, other: "Way") -> "Way":
        return Way(self.luts + other.luts, self.chains + other.chains, self.bits + other.bits, self.block_ram or other.block_ram)

    def period(self, route: float = ROUTE, more: float = ROUTE_MORE, ram: float = ROUTE_RAM) -> float:
        """Nanoseconds: `route` in front of every LUT and chain, `more` once, `ram` once behind a block RAM."""
        cells = LUT * self.luts + CHAIN * self.chains + CHAIN_BIT * self.bits
        return (BLOCK_RAM + ram if self.block_ram else REGISTER) + cells + INTO_REGISTER + more + route * (self.luts + self.chains)


@dataclass(frozen=True)
class Clock:
    """Estimated greatest clock in MHz, and the block that limits it: the stage's name and the block's kind."""

    fmax_mhz: float
    stage: str
    block: str


def clock(design: Design) -> Clock:
    """The estimate for a design on ECP5."""
    stage, block, way = max(ways(design), key=lambda one: one[2].period())
    return Clock(round(1000 / way.period(), 1), stage, block)


def ways(design: Design) -> list[tuple[str, str, Way]]:
    """The longest ways of every block: the stage's name, the block's kind, the way."""
    found = []
    feeding = Way()  # out of the FIFO in front
    for stage in design.stages:
        found += [(stage.name, kind, way) for kind, way in _ways(stage, feeding)]
        feeding = _read(stage.fifo)
    return found


def _ways(stage: Stage, feeding: Way) -> list[tuple[str, Way]]:
    """The ways of a stage's blocks. Where it has no window and no resizer, its first core computes straight from the FIFO before it."""
    found = [] if stage.window is None else [("Window", _address(stage.window)), ("Window", _data(stage.window)),
                                             ("Window", _control(stage.window))]
    for number, core in enumerate(stage.cores):
        straight = number == 0 and stage.window is None and not stage.resizers
        found.append((type(core).__name__, (feeding if straight else Way()) + _RULES[type(core)](core)))
    return [*found, ("Fifo", _read(stage.fifo))]


def _address(block: Window) -> Way:
    """From the tap's counter to the word: the distance's table, the address' sum, and the memory, or the comparison beside a block RAM."""
    way = Way(_table(block.tap_beats), 1, index_bits(block.depth))
    if _in_block_ram(block):
        return way + Way(2)
    return way + Way(1 + _chosen(-(-block.depth // BANK)))


def _data(block: Window) -> Way:
    """From the memory's word to the beat: padding and planes."""
    padded = any(block.geometry.pads) or block.taps * block.tap_beats > block.geometry.kernel[0] * block.geometry.kernel[1]
    way = Way(int(padded) + _chosen(block.bits // block.planes))
    return way + Way(1, block_ram=True) if _in_block_ram(block) else way


def _control(block: Window) -> Way:
    """From the credits over the last beat of a pixel to the counter of words."""
    return Way(3, 1, index_bits(block.depth) + 1)


def _in_block_ram(block: Window) -> bool:
    return memory(block.depth, block.lanes * block.bits, FAMILY, True).brams > 0


def _read(block: Fifo) -> Way:
    """Out of a FIFO's memory."""
    if memory(block.depth, block.lanes * block.bits, FAMILY, block.depth > 64).brams:
        return Way(1, block_ram=True)
    return Way(1 + _chosen(-(-block.depth // BANK)))


def _array(block: Array) -> Way:
    """From the fold counter over a weight to the first carries, or from a code over the chosen popcount through the first adder, or around
    the accumulator."""
    weights = Way(2, block_ram=True) if block.memory == "block" and block.fold_depth > 1 else Way(_table(block.fold_depth) + 2)
    around = Way(2, 1, block.acc_bits)
    chosen = Way(_chosen(block.sharing.values) + 1, 1, block.sharing.bits + 1) if block.sharing else Way()
    return max(weights, chosen, around, key=Way.period)


def _unrolled(block: Unrolled) -> Way:
    return Way(1, 1, block.out_bits)


def _reduce(block: Reduce) -> Way:
    return Way(2, 1, block.out_bits)


def _thresholds(block: Thresholds) -> Way:
    """A threshold from its table, compared with the value."""
    return Way(_table(block.groups << block.out_bits - 1) + 1, 1, block.bits)


def _scaler(block: Scaler) -> Way:
    """A row of the product for each bit of the value, added up by LUTs until a chain adds the last two; of a constant about half the bits
    are there. A table of more than a few factors stands in front."""
    rows = block.bits if block.groups > 1 else block.mult_bits // 2
    return Way(rows // 2 + 1 + (_table(block.groups) if block.groups > 4 else 0), 1, block.out_bits)


def _best(block: Best) -> Way:
    """A tournament: in each round a comparison and a multiplexer. The last carry of a whole number of cells often comes out through one
    more."""
    way = Way(1)
    for _ in range(index_bits(block.lanes)):
        way += Way(2, 1 if block.bits % 2 else 1.5, block.bits)
    return way


def _table(entries: int) -> int:
    """LUTs behind each other in a table of constants."""
    return 0 if entries == 1 else 1 + max(0, index_bits(entries) - 4)


def _chosen(values: int) -> int:
    """LUTs behind each other that choose one of so many."""
    return index_bits(values)


_RULES: dict[type, Callable[[Any], Way]] = {Array: _array, Unrolled: _unrolled, Reduce: _reduce, Thresholds: _thresholds, Scaler: _scaler,
                                            Best: _best}
