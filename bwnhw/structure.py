"""What each block is made of: parts known in closed form, and counted features whose LUT cost per piece is calibrated.

A `Bill` follows from a block's description alone, never from its weights; what an array's spare is in `bwnhw.value_bill`, and the bill of
an `Unrolled`, which is made of them, in `bwnhw.unrolled`. The features are those of the generators in `bwnhw.rtl`;
`bwnhw/coefficients.json` says what one of each costs on each family, and `benchmarks/calibrate_resources.py` measures it.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from bwnhw.array_bill import array_bill
from bwnhw.array_block import Array
from bwnhw.bill import Bill, constant_table
from bwnhw.blocks import Best, Design, Downsize, Fifo, Reduce, Scaler, Stage, Thresholds, Unrolled, Upsize, Window
from bwnhw.errors import PlanError
from bwnhw.fabric import Part, delay, fifo_memory, index_bits, memory
from bwnhw.loading import WORD, LoadTable, stage_load_tables
from bwnhw.window_bill import window_bill

Block = Upsize | Downsize | Window | Array | Unrolled | Reduce | Thresholds | Scaler | Best | Fifo


def bill(block: Block, family: str) -> Bill:
    """The bill of a block on a family. Raises PlanError for a block that has no rule."""
    rule = _RULES.get(type(block))
    if rule is None:
        raise PlanError(f"resources: {type(block).__name__} must have a rule, but none is known for it")
    return rule(block, family)


def _upsize(block: Upsize, family: str) -> Bill:
    count = index_bits(block.ratio)
    return Bill(Part(0, block.lanes_in * block.bits * block.ratio + count + 1), Counter(counter=1, counter_bits=count))


def _downsize(block: Downsize, family: str) -> Bill:
    word, count = block.lanes_out * block.bits * block.ratio, index_bits(block.ratio)
    used = min(word, block.lanes_in * block.bits)
    return Bill(Part(0, used + count + 1), Counter(counter=1, counter_bits=count, shift_bits=used - block.lanes_out * block.bits))


def _fifo(block: Fifo, family: str) -> Bill:
    pointers, level = index_bits(block.depth), block.depth.bit_length()
    width = block.lanes * block.bits
    found = Bill(fifo_memory(block.depth, width, family) + Part(0, 2 * pointers + level),
                 Counter(fifo=1, fifo_bits=2 * pointers + level))
    if block.depth & (block.depth - 1):
        found.features["fifo_wrap_bits"] += 2 * pointers
    return found


def credits(block: Fifo) -> Bill:
    """The counter of a FIFO's free places, and the handshakes of its stage."""
    level = block.depth.bit_length()
    return Bill(Part(0, level), Counter(credits=1, credit_bits=level))


def shell(design: Design) -> Bill:
    """What stands between the ports and the stages: two counters of beats, the frame error, the reset's register."""
    beats = index_bits(design.input.beats) + index_bits(design.output.beats)
    return Bill(Part(0, beats + 2), Counter(shell=1, shell_bits=beats))


def load_chain(stage: Stage, family: str) -> Bill:
    """The memories of a stage that are loaded at run time, each with its part of the load chain: a word's register, and a counter that
    goes over the entries (7 LUTs and one per bit of it, measured on single memories). Beside it the multipliers, whose factors are no
    constants."""
    ahead = stage.array is not None and stage.array.memory == "block"
    tables = stage_load_tables(stage)
    found = Bill()
    for table in tables:
        count = index_bits(table.depth)
        found.part += Part(7 + count if count else 4, 4 + count)
        weights = ".weights_" in table.name
        found.part += memory(table.depth, table.bits, family, ahead and weights) if count else Part(0, table.bits)
    for bit in range(WORD):
        found.part += _passed(bit, tables, family)
    for core in stage.cores:
        if isinstance(core, Scaler) and core.groups == 1:
            found.features["multiply_bits"] += core.lanes * core.bits * core.mult_bits
    return found


def _passed(bit: int, tables: tuple[LoadTable, ...], family: str) -> Part:
    """The registers of one bit of the words: a line from each memory that has the bit to the next that has it."""
    found, cycles = Part(), 0
    for table in tables:
        cycles += 1
        if table.bits > bit:
            found, cycles = found + delay(1, cycles, family), 0
    return found + delay(1, cycles, family)


def _reduce(block: Reduce, family: str) -> Bill:
    found = Bill(Part(0, block.lanes * block.out_bits + 1), Counter(reduce=1))
    found.features[f"reduce_{block.kind}_bits"] += block.lanes * block.out_bits
    if block.flips:
        found.features["flip_bits"] += block.lanes * block.out_bits
        _groups(found, block.groups)
        constant_table(found.features, block.groups, block.lanes, family)
    return found


def _thresholds(block: Thresholds, family: str) -> Bill:
    found = Bill(Part(0, block.lanes * (block.bits * (block.out_bits - 1) + block.out_bits * (block.out_bits + 1) // 2) + block.out_bits))
    for stage in range(block.out_bits):
        depth = block.groups << stage
        found.features["compare_constant_bits" if depth == 1 else "compare_bits"] += block.lanes * block.bits
        constant_table(found.features, depth, block.lanes * block.bits, family)
    _groups(found, block.groups)
    found.part += Part(0, index_bits(block.groups) * (block.out_bits - 1))
    return found


def _scaler(block: Scaler, family: str) -> Bill:
    found = Bill(Part(0, 2 * block.lanes * block.out_bits + 2 + index_bits(block.groups)))
    # A factor that is one of a few is simpler than one that may be anything.
    few = {1: "constant_", 2: "two_", 3: "few_", 4: "few_"}.get(block.groups, "")
    found.features[f"multiply_{few}bits"] += block.lanes * block.bits * block.mult_bits
    found.features["offset_bits"] += block.lanes * block.out_bits
    _groups(found, block.groups)
    return found


def _best(block: Best, family: str) -> Bill:
    found = Bill(Part(0, 2 * block.bits + 2 * block.out_bits + 4), Counter(best=1))
    found.features["compare_bits"] += block.lanes * block.bits
    found.features["best_mux_bits"] += (block.lanes - 1) * (block.bits + index_bits(block.lanes))
    _groups(found, block.groups)
    return found


def _groups(found: Bill, groups: int) -> None:
    """The counter of the groups that beats cycle through."""
    if groups > 1:
        found.part += Part(0, index_bits(groups))
        found.features.update(counter=1, counter_bits=index_bits(groups))


_RULES: dict[type, Callable[[Any, str], Bill]] = {
    Upsize: _upsize, Downsize: _downsize, Fifo: _fifo, Window: window_bill, Array: array_bill, Reduce: _reduce, Thresholds: _thresholds,
    Scaler: _scaler, Best: _best}


def stage_blocks(stage: Stage) -> tuple[Block, ...]:
    """All blocks of a stage in the order of the data."""
    return (*stage.resizers, *((stage.window,) if stage.window else ()), *stage.cores, stage.fifo)
