"""What a systolic array is made of: the plan's LUTs counter by counter, registers one by one, and features of weights and edges."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise

from bwnhw.absorption import absorption, first_bits
from bwnhw.array_block import Array
from bwnhw.bill import Bill, constant_table
from bwnhw.compressor import SEGMENT, Heights, Level, adds_rows, after, carries, counted, levels, popcount_latency
from bwnhw.fabric import Part, adder, banked, delay, index_bits
from bwnhw.families import FAMILIES
from bwnhw.kernel_bill import bank_columns, banked_memory, kernel_first, kernel_memory, odds_count
from bwnhw.rom_bill import registered, rom_luts
from bwnhw.shared_bill import adders, fold_line, shared_edge, shared_pe
from bwnhw.sharing import Sharing


@cache
def tree(lanes: int, latency: int, shaped: str, family: str, kernel: int = 0, even: bool = False) -> tuple[int, int, Part]:
    """What stands behind the first level of a PE's popcount (`bwnhw.compressor`) of `lanes` lanes, shaped for the family `shaped`, on
    `family`: outputs of its counters, bits of the chain that adds two rows, registers."""
    bits = counted(lanes, kernel, even)
    plan, own = levels(bits, shaped), popcount_latency(lanes, shaped, kernel, even)
    heights = list(bits)
    for level in plan:
        heights = after(heights, level)
    chain = len(heights) + 1 if adds_rows(bits, shaped) else 0
    outputs = sum(counter.width for level in plan for counter in level)
    if FAMILIES[shaped].lut_inputs > FAMILIES[family].lut_inputs:
        outputs = outputs * 7 // 3  # a 6:3 counter is seven LUT4
    registers = lines(bits, plan, family) if own else Part()
    registers += Part(0, sum(height << k for k, height in enumerate(bits)).bit_length() if chain else 0)
    if even:  # the odd bit's first register passes it on to the row below
        registers += Part(0, 1) + delay(1, own - 1, family)
    elif not kernel:
        registers += delay(1, own, family)
    return outputs, chain, registers + delay(lanes.bit_length(), latency - own, family)


def lines(bits: Heights, plan: tuple[Level, ...], family: str) -> Part:
    """The registers of a tree's bits, first those of the carries: what waits for several levels is a line of them."""
    waits = [[1] * height for height in bits]
    found = Part()
    for level in plan:
        made: list[int] = []
        for counter in level:
            for k, count in enumerate(counter.taken):
                found = sum((delay(1, waits[counter.at + k].pop(0), family) for _ in range(count)), found)
            made += range(counter.at, counter.at + counter.width)
        waits = [[cycles + 1 for cycles in column] for column in waits] + [[] for _ in range(max(made) + 1 - len(waits))]
        for weight in made:
            waits[weight].append(1)
    return sum((delay(1, cycles, family) for column in waits for cycles in column), found)


@cache
def partial(lanes: int, shaped: str, family: str) -> Part:
    """What stands between the first level and an accumulator that counts the last bits itself (`bwnhw.absorption`), on `family`: counters
    and registers. On narrower LUTs than those it is shaped for, what the chain counts is made in front of it."""
    heights = first_bits(lanes)
    plan = absorption(heights)
    luts, ffs = plan.luts, sum(heights)
    for level in plan.levels:
        heights = tuple(after(heights, level))
        ffs += sum(heights)
    if FAMILIES[shaped].lut_inputs > FAMILIES[family].lut_inputs:
        luts = (luts + sum(share.kept for share in plan.shares if share.width > 1)) * 7 // 3
    return Part(luts, ffs)


def array_columns(block: Array) -> Iterator[tuple[int, int, int]]:
    """(lanes, greatest partial sum from the left, and behind it) of every column."""
    total = 0
    for plane in range(block.planes):
        for first in range(0, block.lanes, block.pe_lanes):
            lanes = min(block.pe_lanes, block.lanes - first)
            most = block.sharing.most(lanes // block.kernel) if block.sharing else lanes
            yield lanes, total, total + (most << plane)
            total += most << plane


def array_bill(block: Array, family: str) -> Bill:
    """The bill of an array."""
    block = _halved(block)
    fold = index_bits(block.fold_depth)
    banks = block.codebook is not None and block.memory == "block" and block.fold_depth > 1
    reads = sorted({*bank_columns(block, block.family)}) if banks else range(block.columns)  # columns with a fold counter
    row = Bill(Part(0, fold * len(reads)))
    skew = sum((delay(fold, column - before, family) for before, column in pairwise([-1, *reads])), Part())
    for column, (lanes, before, behind) in enumerate(array_columns(block)):
        if before:
            row.part += Part(adder(behind.bit_length() - column // block.lane_columns, family))  # lower bits pass unchanged
        if block.sharing:
            row.part += Part(0, behind.bit_length())
            skew += _shared(row, block, block.sharing, lanes // block.kernel, column, family)
            continue
        if block.absorbed:
            row.part += partial(lanes, block.family, family) + Part(0, lanes)
        else:
            outputs, added, registers = tree(lanes, block.popcount_latency, block.family, family, block.kernel, block.even)
            row.part += registers + Part(outputs + adder(added, family), lanes + behind.bit_length())
            row.part += Part() if before or block.kernel else _odd(block, lanes, family)
        if block.codebook:
            if block.baked:
                _weights(row, block, lanes, family)
            else:
                row.part += kernel_first(block.codebook, lanes, family)
                row.part += Part() if banks else kernel_memory(block.codebook, lanes, block.fold_depth, family)
            skew += _skew(block.kernel, column, block.family, family).times(lanes // block.kernel)
            skew += odds_count(lanes, block.kernel, column, family) if block.even else Part()
        else:
            _weights(row, block, lanes, family)
            skew += _skew(lanes, column, block.family, family)
    row.part += banked_memory(block, family) if banks else Part()
    _accumulator(row, block, family)
    row.part += _passing(block, family)
    features = Counter({name: count * block.pe for name, count in row.features.items()})
    features["array_edge"] += 1
    if not FAMILIES[family].sets:
        features["array_fold_bits"] += fold * len(reads)  # inverted at the top, since the counters below start with 1
    part = row.part.times(block.pe) + skew + _edges(block, family) + _tables(block, family)
    if (block.memory == "block" or block.codebook and not block.baked) and fold:
        part += Part(0, -fold * len(reads))  # the last row's fold counters address nothing below it
    return Bill(part, features, stored_bits(block))


def _halved(block: Array) -> Array:
    """The array without the lowest bit of its sums where that is always 0: sums of an even number of ±1, none of them in the padding."""
    even = block.mode == "sums" and block.up and block.channels and block.weights // block.channels % 2 == 0
    if not even or block.loaded or block.offsets > block.groups:
        return block
    return replace(block, up=0, acc_bits=block.acc_bits - 1, out_bits=block.out_bits - 1)


def _shared(row: Bill, block: Array, sharing: Sharing, kernels: int, column: int, family: str) -> Part:
    """A PE of `kernels` that chooses from popcounts, into the row's bill; what stands above it at the top edge."""
    row.part += shared_pe(sharing, kernels, block.fold_depth, block.popcount_latency, block.memory, family)
    row.part += Part(sum(adder(bits, family) for bits in adders(sharing, kernels)))
    edge = shared_edge(sharing, kernels, column, family)
    return edge if column else edge + fold_line(sharing, block.fold_depth, family)


def _skew(lanes: int, column: int, shaped: str, family: str) -> Part:
    """The prefix code of a column's lanes and its skew; the lines end in the first row's registers."""
    size = SEGMENT[FAMILIES[shaped].lut_inputs]
    segments = -(-lanes // size)
    plain = lanes // 2 + (min(lanes, size) + 1) // 2  # nothing stands between their registers
    coded = lanes - plain
    local = sum((min(size, lanes - at) - 1) // 2 for at in range(0, lanes, size))
    # A parity of a segment's and of those before it is one LUT while it has no more inputs than that.
    parities = local + segments - 1 + coded + max(0, segments - size)
    gates = Part(parities if FAMILIES[family].lut_inputs == 6 else parities * 6 // 5)  # a parity of eight is more than one LUT4
    return gates + delay(plain, column + 2, family) + delay(coded, column + 1, family) + Part(0, coded + segments - 1 - lanes)


def _passing(block: Array, family: str) -> Part:
    """The lowest bits of a partial sum pass through the columns of higher planes unchanged: shift registers where there are any."""
    saved = Part()
    for plane in range(block.planes - 1):
        cycles = 1 + block.lane_columns * (block.planes - 1 - plane)
        line = delay(1, cycles, family)
        saved += Part(line.luts, line.ffs - cycles)
    return saved


def _odd(block: Array, lanes: int, family: str) -> Part:
    """The odd bit's way goes on through the first column's partial sum, and through the columns of higher planes where no other column adds
    to it: one line in place of up to three."""
    own = popcount_latency(lanes, block.family)
    after = block.planes if block.lane_columns == 1 else 1
    parts = [delay(1, cycles, family).times(-1) for cycles in (own, block.popcount_latency - own, after)]
    return sum(parts, delay(1, block.popcount_latency + after, family))


def unread(lanes: int, block: Array) -> int:
    """Lanes of a column that are in no parity: their registers at the top edge follow the window's."""
    return int(not block.kernel and (lanes % 2 == 0 or lanes == 1))


def _weights(row: Bill, block: Array, lanes: int, family: str) -> None:
    """The first level of a PE's popcount with the weights in front of it, which merge where they are small."""
    depth, wide, leaf = block.fold_depth, FAMILIES[family].lut_inputs == 6, FAMILIES[family].leaf
    kernels = lanes // block.kernel if block.kernel else 0
    pairs, odds = (kernels * carries(block.kernel), 0 if block.even else kernels) if kernels else (carries(lanes), 1)
    free = pairs + 1 if wide else 2 * pairs + 1  # with weights from elsewhere
    if depth == 1 and not block.loaded:
        row.part += Part(pairs)
    elif block.loaded or block.memory == "block":
        row.part += Part(free) + (Part() if block.loaded else banked(depth, lanes, family))
    elif depth <= 8 and (wide or depth <= 2):
        row.part += Part(pairs + odds)  # three lanes and the fold counter are no more inputs than a LUT has
    elif depth <= 8:
        row.features[f"carry_{1 << index_bits(depth)}"] += pairs
        row.part += Part(odds + (not kernels and lanes % 2 == 0 and depth > 4))  # the odd bit, of one or two lanes
    elif depth <= leaf // 2:
        row.features[f"rom_merged_{1 << index_bits(depth)}"] += lanes
    else:
        row.part += Part(free)
        row.features["rom_apart"] += lanes * (wide and depth > leaf)  # a carry doesn't merge with multiplexers


def _tables(block: Array, family: str) -> Part:
    """The tables of weights that are apart from the carries. At their end the constant plane of the last group is the same, and the
    whole of it where it is padding."""
    if not tables_apart(block, family):
        return Part()
    rows = ((padded_depth(block, 0), block.full_rows), (padded_depth(block, block.full_rows), block.pe - block.full_rows))
    return Part(sum(rom_luts(lanes, depth, block.fill, family, block.fold_depth - depth) * count
                    for lanes, _, _ in array_columns(block) for depth, count in rows))


def tables_apart(block: Array, family: str) -> bool:
    """Whether an array's weights are tables of constants apart from the carries."""
    return not (block.memory == "block" or block.loaded or block.codebook or block.fold_depth <= max(8, FAMILIES[family].leaf // 2))


def padded_depth(block: Array, row: int) -> int:
    """How deep the tables of a row are without what is the same at their end."""
    full = block.fold_depth - block.constant
    return full if row < block.full_rows else full - block.fold_depth // block.groups


def stored_bits(block: Array) -> int:
    """Bits of weights that an array stores, or of indices and their codewords; where they are baked, of those that they would be."""
    stored = block.pe * block.fold_depth * block.lanes
    book = block.codebook
    return stored // block.kernel * book.index_bits + book.codebook_bits if book else stored


def marks_way(block: Array) -> Iterator[tuple[int, int]]:
    """The marks beside `done`: (bits, registers of the line from the top to where the first row reads them, its own among them unless it
    reads them before)."""
    wait = block.encode_latency + block.popcount_latency + block.columns
    if block.group_beats > 1:
        yield 1, wait + (not block.constant_start)
    yield index_bits(max(step.shift for step in block.steps) + 1), wait + 1
    yield index_bits(block.offsets), wait + (len(block.steps) > 1)


def _accumulator(row: Bill, block: Array, family: str) -> None:
    late, single = len(block.steps) > 1, block.group_beats == 1
    bits, kept = block.acc_bits, 1 if block.mode == "bits" else block.out_bits + block.down
    row.part += Part(0, 1)
    if single:
        row.part += Part(adder(bits - block.up, family), kept)
    else:
        constant = block.constant_start  # what leaves has registers of its own then
        row.part += Part(0, bits + constant * (bits if late else kept) + late * kept)
        merged = constant or FAMILIES[family].lut_inputs == 6  # a LUT6 of the adder has the multiplexer in it
        # The two highest bits apart from the chain, whose carry out is a bit of it and a register.
        chain = Part(adder(bits - 1, family) + 2, 1) if block.sign_apart else Part(adder(bits, family))
        row.part += chain + Part(0 if merged else bits)
        row.features["acc_start_bits"] += bits * (constant and not late)  # those that are set, where a register can only start with 0
        shifts = len({step.shift for step in block.steps} - {0})
        row.part += Part(0 if FAMILIES[family].lut_inputs == 6 else bits * shifts)  # a LUT6 of the adder has this multiplexer in it, too
    if late:
        row.part += Part(adder(bits, family))
    if block.offsets > 1 and block.loaded:
        row.part += Part(0, bits + 2 * block.flips)
        row.features["acc_offset_bits"] += bits
    elif block.offsets > 1:
        found = offset_tables(block, family)
        row.part += found.part + Part(0, (2 if block.offsets > 2 else 1) * block.flips)
        row.features["acc_offset_bits"] += bits
        row.features.update(found.features)
    row.features["rows"] += 1


def offset_tables(block: Array, family: str, changing: tuple[int, int] | None = None) -> Bill:
    """A row's tables of several offsets and of its flips. `changing`: how many bits of the offsets change, those that are equal or inverse
    to each other counted once, and all of them, which is what a block RAM is as wide as; None: as many as random ones have. Of a table of n
    entries no more than 2**(n−1) − 1 are different."""
    most = block.acc_bits - 2
    distinct, width = changing or (min(most, (1 << min(block.offsets - 1, 8)) - 1), most)
    stored = registered(block.offsets, width, family)
    found = Bill(stored or Part(0, distinct))
    constant_table(found.features, block.offsets, (0 if stored else distinct) + block.flips, family)
    return found


def _edges(block: Array, family: str) -> Part:
    """The marks' way to the right edge and the de-skew of the rows."""
    part = Part(0, block.encode_latency + block.popcount_latency + block.columns)
    for bits, cycles in marks_way(block):
        part += delay(bits, cycles, family) + Part(0, bits * (block.pe - 1))
    late = block.sum_latency
    part += Part(0, late)
    # A line of registers takes in the one that it begins at, unless the accumulator reads that one back or a flip stands between.
    begins = block.group_beats == 1 or late > 1 or block.constant_start
    begins &= block.mode == "sums" or not (block.flips and block.offsets > 1)
    luts = ffs = 0
    for cycles in range(block.pe):
        if 1 < cycles <= block.group_beats:
            ffs += block.out_bits  # a row's valid is the same as `done` of the rows below it
        else:
            line = delay(block.out_bits, cycles + begins, family)
            luts, ffs = luts + line.luts, ffs + line.ffs - block.out_bits * begins
    return part + Part(luts, ffs)
