"""What each block is made of: parts known in closed form, and counted features whose LUT cost per piece is calibrated.

A `Bill` follows from a block's description alone, never from its weights; that of an `Unrolled`, which is made of them, is in
`bwnhw.unrolled`. The features are those of the generators in `bwnhw.rtl`;
`bwnhw/coefficients.json` says what one of each costs on each family, and `benchmarks/calibrate_resources.py` measures it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from bwnhw.bill import Bill
from bwnhw.blocks import Array, Best, Design, Downsize, Fifo, Reduce, Scaler, Stage, Thresholds, Unrolled, Upsize, Window
from bwnhw.compressor import adds_rows, after, carries, counted, levels, popcount_latency
from bwnhw.errors import PlanError
from bwnhw.fabric import Part, blocks, delay, index_bits, memory
from bwnhw.families import FAMILIES
from bwnhw.kernel_bill import kernel_first, kernel_memory, shared_memory
from bwnhw.loading import WORD, LoadTable, stage_load_tables
from bwnhw.shared_bill import adders, fold_line, shared_edge, shared_pe
from bwnhw.sharing import Sharing
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
    found = Bill(memory(block.depth, width, family, block.depth > 64) + Part(0, 2 * pointers + level),
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


@cache
def tree(lanes: int, latency: int, shaped: str, family: str, kernel: int = 0) -> tuple[int, int, Part]:
    """What stands behind the first level of a PE's popcount (`bwnhw.compressor`) of `lanes` lanes, shaped for the family `shaped`, on
    `family`: outputs of its counters, bits of the chain that adds two rows, registers."""
    bits = counted(lanes, kernel)
    plan, own = levels(bits, shaped), popcount_latency(lanes, shaped, kernel)
    heights, ffs = list(bits), sum(bits) if own else 0
    for level in plan:
        heights = after(heights, level)
        ffs += sum(heights)
    chain = len(heights) + 1 if adds_rows(bits, shaped) else 0
    outputs = sum(counter.width for level in plan for counter in level)
    if FAMILIES[shaped].lut_inputs > FAMILIES[family].lut_inputs:
        outputs = outputs * 7 // 3  # a 6:3 counter is seven LUT4
    registers = Part(0, ffs + (sum(height << k for k, height in enumerate(bits)).bit_length() if chain else 0))
    registers += Part() if kernel else delay(1, own, family)
    return outputs, chain, registers + delay(lanes.bit_length(), latency - own, family)


def array_columns(block: Array) -> Iterator[tuple[int, int, int]]:
    """(lanes, greatest partial sum from the left, and behind it) of every column."""
    total = 0
    for plane in range(block.planes):
        for first in range(0, block.lanes, block.pe_lanes):
            lanes = min(block.pe_lanes, block.lanes - first)
            most = block.sharing.most(lanes // block.kernel) if block.sharing else lanes
            yield lanes, total, total + (most << plane)
            total += most << plane


def _array(block: Array, family: str) -> Bill:
    fold = index_bits(block.fold_depth)
    counters = 1 if block.codebook and block.memory == "block" else block.columns  # columns with a fold counter
    row = Bill(Part(0, fold * counters))
    skew = Part(0, fold * counters)
    for column, (lanes, before, behind) in enumerate(array_columns(block)):
        if before:
            row.part += Part(_chain(behind.bit_length(), family))
        if block.sharing:
            row.part += Part(0, behind.bit_length())
            skew += _shared(row, block, block.sharing, lanes // block.kernel, column, family)
            continue
        outputs, chain, registers = tree(lanes, block.popcount_latency, block.family, family, block.kernel)
        row.part += registers + Part(outputs + _chain(chain, family), lanes + behind.bit_length())
        if block.codebook:
            row.part += kernel_first(block.codebook, lanes, family)
            row.part += kernel_memory(block.codebook, lanes, column, block.fold_depth, block.memory, family)
            skew += _skew(block.kernel, column, family).times(lanes // block.kernel)
        else:
            _weights(row, block, lanes, family)
            skew += _skew(lanes, column, family)
    if block.codebook:
        row.part += shared_memory(block.codebook, block.lanes, block.fold_depth, block.memory, family)
    _accumulator(row, block, family)
    row.part += _passing(block, family)
    features = Counter({name: count * block.pe for name, count in row.features.items()})
    features["array_edge"] += 1
    part = row.part.times(block.pe) + skew + _edges(block, family)
    baked = block.sharing is not None and block.sharing.baked(block.fold_depth, block.memory)
    if (block.memory == "block" or block.codebook and not baked) and fold:
        part += Part(0, -fold * counters)  # the last row's fold counters address nothing below it
    return Bill(part, features, stored_bits(block))


def _shared(row: Bill, block: Array, sharing: Sharing, kernels: int, column: int, family: str) -> Part:
    """A PE of `kernels` that chooses from popcounts, into the row's bill; what stands above it at the top edge."""
    row.part += shared_pe(sharing, kernels, column, block.fold_depth, block.popcount_latency, block.memory, family)
    row.part += Part(sum(_chain(bits, family) for bits in adders(sharing, kernels)))
    edge = shared_edge(sharing, kernels, column, family)
    return edge if column else edge + fold_line(sharing, block.fold_depth, family)


def _skew(lanes: int, column: int, family: str) -> Part:
    """The prefix code of a column's lanes and its skew; the lines end in the first row's registers."""
    segments = -(-lanes // 8)
    plain = lanes // 2 + (min(lanes, 8) + 1) // 2  # nothing stands between their registers
    coded = lanes - plain
    parities = 3 * lanes // 8 + segments - 1 + coded
    gates = Part(parities if FAMILIES[family].lut_inputs == 6 else parities * 6 // 5)  # a parity of eight is more than one LUT4
    return gates + delay(plain, column + 2, family) + delay(coded, column + 1, family) + Part(0, coded + segments - 1 - lanes)


def _chain(bits: int, family: str) -> int:
    """LUTs of an adder on carry chains, whole cells of them."""
    return bits + -bits % FAMILIES[family].chain_bits


def _passing(block: Array, family: str) -> Part:
    """The lowest bits of a partial sum pass through the columns of higher planes unchanged: shift registers where there are any."""
    saved = Part()
    for plane in range(block.planes - 1):
        cycles = 1 + block.lane_columns * (block.planes - 1 - plane)
        line = delay(1, cycles, family)
        saved += Part(line.luts, line.ffs - cycles)
    return saved


def _weights(row: Bill, block: Array, lanes: int, family: str) -> None:
    """The first level of a PE's popcount with the weights in front of it, which merge where they are small."""
    depth, pairs, wide = block.fold_depth, carries(lanes), FAMILIES[family].lut_inputs == 6
    leaf = FAMILIES[family].leaf
    free = pairs + 1 if wide else 2 * pairs + 1  # with weights from elsewhere
    if depth == 1 and not block.loaded:
        row.part += Part(pairs)
    elif block.loaded or block.memory == "block":
        row.part += Part(free, 0, 0 if block.loaded else blocks(depth, lanes, family))
    elif depth <= 8 and (wide or depth <= 2):
        row.part += Part(pairs + 1)  # three lanes and the fold counter are no more inputs than a LUT has
    elif depth <= 8:
        row.features[f"carry_{1 << index_bits(depth)}"] += pairs
    elif depth <= leaf // 2:
        row.features["rom_merged"] += lanes
    else:
        # Leaves and multiplexers grow with the depth; of LUT4 no part of a leaf is wasted, since it merges with the multiplexer.
        if wide:
            row.features["rom_leaves"] += lanes * -(-depth // leaf)
        else:  # what stands behind a leaf depends on how many address bits it doesn't have
            row.features[f"rom_{min(1 << index_bits(depth), 16 * leaf)}"] += -(-lanes * depth // leaf)
        row.part += Part(free)


def stored_bits(block: Array) -> int:
    """Bits of weights that an array stores, or of indices and their codewords."""
    stored = block.pe * block.fold_depth * block.lanes
    book = block.codebook
    return stored // block.kernel * book.index_bits + book.codebook_bits if book else stored


def _marks(block: Array) -> int:
    """Bits of the marks that travel down the right edge, beside `done`."""
    shift = index_bits(max(step.shift for step in block.steps) + 1)
    return (block.group_beats > 1) + shift + index_bits(block.offsets)


def _accumulator(row: Bill, block: Array, family: str) -> None:
    late, single = len(block.steps) > 1, block.group_beats == 1
    bits, kept = block.acc_bits, 1 if block.mode == "bits" else block.out_bits + block.down
    row.part += Part(0, 1 + _marks(block))
    if single:
        row.part += Part(0, kept)
        row.features["acc_single_bits"] += bits
    else:
        # A constant that the sum begins with is a register's reset value; what leaves has registers of its own.
        constant = late or block.offsets == 1 and not block.loaded
        row.part += Part(0, bits + constant * (bits if late else kept) + late * kept)
        merged = constant or FAMILIES[family].lut_inputs == 6  # a LUT6 of the adder has the multiplexer in it
        row.part += Part(_chain(bits, family) + (0 if merged else bits))
        row.features["acc_shift_bits"] += bits * len({step.shift for step in block.steps} - {0})
    if late:
        row.features["acc_late_bits"] += bits
    if block.offsets > 1 and block.loaded:
        row.part += Part(0, bits + 2 * block.flips)
        row.features["acc_offset_bits"] += bits
    elif block.offsets > 1:
        # Bits of a table of n entries that are constant, equal or inverse to each other are one: there are 2**(n−1) − 1 others.
        distinct = min(bits - 2, (1 << min(block.offsets - 1, 8)) - 1)
        row.part += Part(0, distinct + (2 if block.offsets > 2 else 1) * block.flips)
        row.features["acc_offset_bits"] += bits
        _table(row.features, block.offsets, distinct + block.flips, family)
    row.features["rows"] += 1


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


def _table(features: Counter[str], depth: int, width: int, family: str) -> None:
    """A table of constants: LUTs of leaves and multiplexers; up to two entries are wires or one inverter."""
    leaf = FAMILIES[family].leaf
    leaves = -(-depth // leaf)
    if depth > 2:
        features.update(table_leaves=width * leaves, table_muxes=width * (leaves - 1))


def _edges(block: Array, family: str) -> Part:
    """The marks' way to the right edge and the de-skew of the rows."""
    wait = block.encode_latency + block.popcount_latency + block.columns
    part = Part(0, wait) + delay(_marks(block), wait, family)
    late = 1 + (len(block.steps) > 1)
    part += Part(0, late)
    # A line of registers takes in the one that it begins at, unless the accumulator reads that one back or a flip stands between.
    begins = block.group_beats == 1 or late > 1
    begins &= block.mode == "sums" or not (block.flips and block.offsets > 1)
    luts = ffs = 0
    for cycles in range(block.pe):
        if 1 < cycles <= block.group_beats:
            ffs += block.out_bits + late
        else:
            line = delay(block.out_bits, cycles + begins, family)
            luts, ffs = luts + line.luts, ffs + line.ffs - block.out_bits * begins
    return part + Part(luts, ffs)


def _reduce(block: Reduce, family: str) -> Bill:
    found = Bill(Part(0, block.lanes * block.out_bits + 1), Counter(reduce=1))
    found.features[f"reduce_{block.kind}_bits"] += block.lanes * block.out_bits
    if block.flips:
        found.features["flip_bits"] += block.lanes * block.out_bits
        _groups(found, block.groups)
        _table(found.features, block.groups, block.lanes, family)
    return found


def _thresholds(block: Thresholds, family: str) -> Bill:
    found = Bill(Part(0, block.lanes * (block.bits * (block.out_bits - 1) + block.out_bits * (block.out_bits + 1) // 2) + block.out_bits))
    for stage in range(block.out_bits):
        depth = block.groups << stage
        found.features["compare_constant_bits" if depth == 1 else "compare_bits"] += block.lanes * block.bits
        _table(found.features, depth, block.lanes * block.bits, family)
    _groups(found, block.groups)
    found.part += Part(0, index_bits(block.groups) * (block.out_bits - 1))
    return found


def _scaler(block: Scaler, family: str) -> Bill:
    found = Bill(Part(0, 2 * block.lanes * block.out_bits + 2 + index_bits(block.groups)))
    found.features["multiply_constant_bits" if block.groups == 1 else "multiply_bits"] += block.lanes * block.bits * block.mult_bits
    found.features["offset_bits"] += block.lanes * block.out_bits
    _groups(found, block.groups)
    _table(found.features, block.groups, block.lanes * (block.mult_bits + block.out_bits), family)
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
    Upsize: _upsize, Downsize: _downsize, Fifo: _fifo, Window: window_bill, Array: _array, Reduce: _reduce, Thresholds: _thresholds,
    Scaler: _scaler, Best: _best}


def stage_blocks(stage: Stage) -> tuple[Block, ...]:
    """All blocks of a stage in the order of the data."""
    return (*stage.resizers, *((stage.window,) if stage.window else ()), *stage.cores, stage.fifo)
