"""What an array costs that counts its codewords once (`bwnhw.sharing`): a PE's choice and sum, and the popcounts at the top edge."""

from bwnhw.compressor import after, levels
from bwnhw.fabric import Part, delay, index_bits
from bwnhw.families import FAMILIES
from bwnhw.kernel_bill import kernel_memory
from bwnhw.sharing import Sharing, rounds

LUT4_OF_CHOICE = (1, 1, 3.5, 10, 15)  # by bits that choose, per bit of a popcount: measured on single PEs, with a sign and without
SURELY_PLAIN = 1 / 4  # share of codewords whose waiting lanes have one to invert, measured on random ones of nine taps


def choice(sharing: Sharing, kernels: int, family: str) -> int:
    """LUTs that choose the popcounts of a PE's kernels; those of right summands may be part of the adder."""
    if FAMILIES[family].lut_inputs == 4:
        return round(kernels * sharing.bits * LUT4_OF_CHOICE[min(sharing.select_bits, len(LUT4_OF_CHOICE) - 1)])
    one = sharing.bits * (-(-sharing.values // 4) + (-(-sharing.values // 16) if sharing.values > 16 else 0))
    return one * ((kernels + 1) // 2 if sharing.absorbed else kernels) + sharing.late * sharing.bits


def adders(sharing: Sharing, kernels: int) -> list[int]:
    """Bits of every adder of a PE."""
    widths = sharing.widths(kernels)
    return [widths[number + 1][left] for number, meeting in enumerate(rounds(kernels)) for left, right in meeting if right is not None]


def shared_pe(sharing: Sharing, kernels: int, depth: int, latency: int, memory: str, family: str) -> Part:
    """A PE of `kernels` but its adders: the popcounts' registers, the choice with its memory in LUTs, the registers of the sum."""
    first, *behind = sharing.widths(kernels)
    luts, ffs = choice(sharing, kernels, family), kernels * sharing.width + sum(sum(widths.values()) for widths in behind)
    lines = Part()
    for number, meeting in enumerate(rounds(kernels)):
        if number and FAMILIES[family].lut_inputs == 4:
            luts += sum(right is not None for _, right in meeting)  # the top bit of the right summand
        if sharing.late:
            lines += delay(sum(right is not None for _, right in meeting), number, family)
    lines += delay((behind or [first])[-1][0], latency - len(behind), family)
    if memory == "lut" and not sharing.baked(depth, memory):
        lines += kernel_memory(sharing.book, kernels * sharing.taps, depth, family)
    return Part(luts, ffs) + lines


def shared_edge(sharing: Sharing, kernels: int, column: int, family: str) -> Part:
    """The popcounts of a column's codewords, and the skew of its lanes."""
    heights, plan = [sharing.taps], levels((sharing.taps,), sharing.family)
    luts = ffs = 0
    for level in plan:
        heights = after(heights, level)
        luts, ffs = luts + sum(counter.width for counter in level), ffs + sum(heights)
    if len(plan) < sharing.count_latency:
        luts, ffs = luts + len(heights) + 1, ffs + sharing.bits
    count = kernels * sharing.values
    return Part(luts * count + round(count * SURELY_PLAIN), ffs * count) + delay(kernels * sharing.taps, column, family)


def fold_line(sharing: Sharing, depth: int, family: str) -> Part:
    """What the fold counter waits for at the top edge beyond one cycle."""
    line = delay(index_bits(depth), sharing.count_latency, family)
    return Part(line.luts, line.ffs - index_bits(depth))
