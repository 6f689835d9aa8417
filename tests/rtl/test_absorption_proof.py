"""Proofs about PEs whose last counters are the accumulator's carry chain, for all inputs, in pieces as in test_popcount_proof.py.

* carries and odd bit: as there.
* a counter's register takes the exact sum of the register bits that it reads; every bit of a level is read by one counter, or waits.
* a share of the chain: what is made above its kept bits is the sum of the very bits that wait for the chain, without these kept bits,
  which the chain works out from them. So a level's weighted sum, and the count, are those of the lanes.
* the chain is held − 1 − count: tried for all values of the register and of the inverted count.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from gates import Bit, Netlist, netlist, numbers, planted
from test_popcount_proof import prove_carries

from bwnhw.absorption import Absorption, absorption, behind, first_bits
from bwnhw.compressor import Counter
from bwnhw.rtl.absorption import Chain, PartialElement
from bwnhw.rtl.pe import Column

SIZES = (*range(1, 34), 48, 64, 97)


def parts(lanes: int, depth: int = 0) -> dict[str, PartialElement | Chain]:
    """A PE, `depth` weights baked, or none, and the chain behind it, whose sum is one bit wider than the count."""
    rng = np.random.default_rng(lanes)
    table = [int.from_bytes(rng.bytes(16), "little") % (1 << lanes) for _ in range(depth)]
    column = Column(0, 0, 0, lanes, 0, 0, len(absorption(first_bits(lanes)).levels), "xc7", absorbed=True)
    return {f"pe{lanes}": PartialElement(column, (depth - 1).bit_length() if depth else 0, table),
            f"chain{lanes}": Chain(first_bits(lanes), lanes.bit_length() + 1)}


def by_weight(bits: list[Bit], heights: tuple[int, ...]) -> list[list[Bit]]:
    """Bits in a row, the lowest weight's first, by weight."""
    return [bits[begin:end] for begin, end in pairwise(np.cumsum([0, *heights]).tolist())]


def weighted(found: Netlist, roots: list[Bit], inputs: list[Bit], columns: list[list[Bit]]) -> tuple[np.ndarray, np.ndarray]:
    """For every value of inputs, bits of columns by weight: the roots' number and the weighted sum."""
    weights = [next(weight for weight, held in enumerate(columns) if bit in held) for bit in inputs]
    tried = np.arange(1 << len(inputs))
    return numbers(found.values(roots, inputs)), sum((tried >> k & 1) << weight for k, weight in enumerate(weights))


def waited(found: Netlist, register: Bit) -> Bit:
    """The bit that a register with a reset takes."""
    reset, = found.nets["rst"]
    bit, = set(found.inputs(found.behind[register])) - {reset}
    assert found.values([found.behind[register]], [bit, reset]).tolist() == [[False, True, False, False]]
    return bit


def prove_counters(found: Netlist, name: str, plan: Absorption, columns: list[list[Bit]]) -> list[list[Bit]]:
    """Level by level, from the first level's registers to the bits that are left for the chain, by weight."""
    tree = f"{name}.popcount.tree"
    origin = {bit: bit for held in columns for bit in held}  # of a bit that waited: the register that it was made in
    made: dict[Counter, set[Bit]] = {}
    for number, level in enumerate(plan.levels, 1):
        waiting = [found.nets.get(f"{tree}.l{number}_w{weight}_d1", []) for weight in range(len(columns))]
        before = [[waited(found, bit) for bit in bits] for bits in waiting]
        later = [*waiting, *([] for _ in range(4))]
        read = [bit for bits in before for bit in bits]
        for at, counter in enumerate(level):
            registers = found.nets[f"{tree}.l{number}_{at}"]
            roots, first = [found.behind[bit] for bit in registers], counter.at + counter.kept
            if counter.kept:  # of the bits that wait
                taken = before[counter.at:counter.at + len(counter.taken)]
                value, total = weighted(found, roots, [bit for bits in taken for bit in bits], columns)
                made[counter] = {origin[bit] for bits in taken for bit in bits}
            else:
                inputs = sorted({bit for root in roots for bit in found.inputs(root)})
                value, total = weighted(found, roots, inputs, columns)
                assert (total % (1 << counter.at) == 0).all()
                read += inputs
            assert (value == total >> first).all()
            origin |= {bit: bit for bit in registers}
            for weight, bit in enumerate(registers, first):
                later[weight] = [*later[weight], bit]
        origin |= {bit: origin[taken] for bits, held in zip(waiting, before, strict=True) for bit, taken in zip(bits, held, strict=True)}
        assert sorted(read) == sorted(bit for held in columns for bit in held)  # each of them once
        columns = later
    for share in plan.shares:
        bits = [bit for held in columns[share.at:share.at + len(share.taken)] for bit in held]
        assert share.width == share.kept or made.pop(share) == {origin[bit] for bit in bits}
    assert not made
    assert [bit for held in columns for bit in held] == found.nets[f"{name}_psum_o"]
    return columns


def prove_chain(found: Netlist, name: str, plan: Absorption, left: tuple[int, ...]) -> None:
    """The chain's shares of the bits at its port, of every weight as many as are `left`, and its sum."""
    columns = by_weight(found.nets[f"{name}_bits"], left)
    inverted, held, now = found.nets[f"{name}.inverted"], found.nets[f"{name}_held"], found.nets[f"{name}_now"]
    free = set(range(len(inverted)))
    for share in plan.shares:
        places = range(share.at, share.at + share.kept)
        bits = [bit for held in columns[share.at:share.at + len(share.taken)] for bit in held]
        value, total = weighted(found, [inverted[at] for at in places], bits, columns)
        assert ((1 << share.kept) - 1 - value << share.at == total % (1 << share.at + share.kept)).all()
        free -= set(places)
    assert all(found.values([inverted[at]], []).all() for at in free)
    cut = [*held, *(bit for at, bit in enumerate(inverted) if at not in free)]
    tried = np.arange(1 << len(cut))
    ones = sum(1 << at for at in free)
    mask = (1 << len(now)) - 1
    assert len(held) == len(now) and free == set(range(len(cut) - len(held), len(inverted)))
    assert (numbers(found.values(now, cut)) == (tried & mask) + (tried >> len(held) | ones) & mask).all()


def prove(found: Netlist, lanes: int, table: list[int] | tuple[()] = ()) -> None:
    """A PE and the chain behind it."""
    heights, name = first_bits(lanes), f"pe{lanes}"
    plan = absorption(heights)
    first = found.nets[f"{name}.popcount.tree.bits" if plan.levels else f"{name}_psum_o"]
    prove_carries(found, name, lanes, first, table)
    columns = prove_counters(found, name, plan, by_weight(first, heights))
    left = behind(heights, plan)
    assert [len(held) for held in columns][:len(left)] == list(left)
    prove_chain(found, f"chain{lanes}", plan, left)


def test_every_size(tmp_path: Path) -> None:
    found = netlist({name: part for lanes in SIZES for name, part in parts(lanes).items()}, tmp_path)
    for lanes in SIZES:
        prove(found, lanes)


@pytest.mark.parametrize(("lanes", "depth"), [(4, 1), (7, 2), (32, 8), (9, 5), (6, 16)])
def test_baked_weights(lanes: int, depth: int, tmp_path: Path) -> None:
    made = parts(lanes, depth)
    prove(netlist(made, tmp_path), lanes, made[f"pe{lanes}"]._table)


@pytest.mark.parametrize(("module", "before", "after"), [
    ("carries", " & ", " | "),
    ("tree", " \\^ ", " | "),
    ("tree", r"(l1_w0_d1) <= bits\[0\]", r"\1 <= ~bits[0]"),  # bits that wait
    ("tree", r"(l1_w1_d1) <= bits\[16:13\]", r"\1 <= bits[15:12]"),
    ("tree", r"(l3_0) <= (\w+);", r"\1 <= ~\2;"),  # the carry of bits that the chain counts
    ("chain32", " \\^ ", " | "),
    ("chain32", "held \\+ inverted", "held - inverted"),
    ("chain32", "= ~ \\{", "= {"),
])
def test_a_planted_bug_is_found(module: str, before: str, after: str, tmp_path: Path) -> None:
    found = netlist(parts(32), tmp_path, planted(module, before, after))
    with pytest.raises((AssertionError, KeyError)):  # a register that nobody reads isn't in the netlist
        prove(found, 32)
