"""Proofs about the emitted popcounts and PEs, for all inputs, in pieces small enough to be tried exhaustively.

The netlist is cut at its registers. Then, whatever the size:

* a carry c and the parities m around its lane x satisfy m[2k] + x[2k+1] + e = m[2k+2] + 2c with e = m[2k] ^ x[2k+1] ^ m[2k+2], which
  is lane 2k+2: tried for all six activation and weight bits (and every fold where the weights are baked). Summed over k the parities
  cancel: the number of matching lanes is the last parity plus twice the number of carries.
* a counter's register takes the exact sum of the register bits that it reads, and every bit of a level is read by one counter, or
  waits: so the weighted sum of a level is that of the level before.
* the partial sum's register takes the sum of its two inputs: tried for all values of both.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from gates import Bit, Netlist, netlist, numbers, planted

from bwnhw.compressor import carries, levels, popcount_latency
from bwnhw.families import FAMILIES
from bwnhw.rtl.pe import Column, ProcessingElement

SIZES = (*range(1, 34), 48, 64, 97)
LEFT = 37  # greatest partial sum from the left


def element(lanes: int, family: str, depth: int = 0) -> ProcessingElement:
    """A PE with a partial sum from the left, on plane 1 where lanes are odd; `depth` weights are baked, or none."""
    rng = np.random.default_rng(lanes)
    table = [int.from_bytes(rng.bytes(16), "little") % (1 << lanes) for _ in range(depth)]
    column = Column(1, 0, 0, lanes, lanes % 2, LEFT, popcount_latency(lanes, family), family)
    return ProcessingElement(column, (depth - 1).bit_length() if depth else 0, table)


def prove_small(found: Netlist, name: str, lanes: int) -> None:
    """Up to three lanes, without registers in the popcount: the partial sum's register for every input."""
    left, inputs = found.nets[f"{name}_psum_i"], [*found.nets[f"{name}.acts"], *found.nets[f"{name}_weights"]]
    values = numbers(found.values([found.behind[bit] for bit in found.nets[f"{name}.psum"]], [*left, *inputs]))
    tried = np.arange(1 << len(left) + 2 * lanes)
    equal = ~(tried >> len(left) ^ tried >> len(left) + lanes)
    first, second, third = (equal >> at & 1 if at < lanes else np.zeros_like(tried) for at in range(3))
    matches = first + second + (first ^ second ^ third if lanes == 3 else 0)
    reached = tried & (1 << len(left)) - 1 <= LEFT
    assert (values == (tried & (1 << len(left)) - 1) + (matches << lanes % 2))[reached].all()


def prove_carries(found: Netlist, name: str, lanes: int, first: Sequence[Bit], table: Sequence[int] = ()) -> None:
    """The first level: what goes into the `first` registers, that of the odd bit and those of the carries."""
    acts = found.nets[f"{name}.acts"]
    weights = [] if table else found.nets[f"{name}_weights"]
    fold = found.nets[f"{name}.fold"] if len(table) > 1 else []
    odd, *carry = (found.behind[bit] for bit in first)

    def tried(root: Bit, read: Sequence[int]) -> tuple[np.ndarray, list[np.ndarray]]:
        """A root for every value of the lanes that it may read, and those lanes' matches."""
        inputs = [*fold, *(acts[at] for at in read), *(weights[at] for at in read if weights)]
        assert set(found.inputs(root)) <= set(inputs)
        columns = np.arange(1 << len(inputs))
        words = np.array([*table, *table[-1:] * ((1 << len(fold)) - len(table))], object)
        wanted = [words[columns & (1 << len(fold)) - 1] >> at & 1 if table else columns >> inputs.index(weights[at]) & 1 for at in read]
        return found.values([root], inputs)[0], [1 - (columns >> inputs.index(acts[at]) & 1 ^ word.astype(int))
                                                 for at, word in zip(read, wanted, strict=True)]

    for k in range((lanes - 1) // 2):
        value, (before, middle, behind) = tried(carry[k], (2 * k, 2 * k + 1, 2 * k + 2))
        assert (before + middle + (before ^ middle ^ behind) == behind + 2 * value).all()
    if lanes % 2 == 0:
        value, (before, last) = tried(carry[-1], (lanes - 2, lanes - 1))
        assert (value == before & last).all()
    parity, matches = tried(odd, (lanes - 1,) if lanes % 2 else (lanes - 2, lanes - 1))
    assert (parity == sum(matches) % 2).all()


def prove_tree(found: Netlist, name: str, lanes: int, family: str) -> list[Bit]:
    """Level by level from the carries' registers to the bits of their count. What would be worth more than the count can be is left out of
    the netlist, so sums are compared modulo that."""
    bits = carries(lanes)
    width = bits.bit_length()
    tree = f"{name}.popcount.tree"
    columns: list[list[Bit]] = [list(found.nets[f"{name}.popcount.tree.bits"])]
    for number, level in enumerate(levels((bits,), family), 1):
        read: list[Bit] = []
        later: list[list[Bit]] = [[] for _ in range(len(columns) + 4)]
        for at, counter in enumerate(level):
            registers = found.nets[f"{tree}.l{number}_{at}"][:max(0, width - counter.at)]
            roots = [found.behind[bit] for bit in registers]
            inputs = sorted({bit for root in roots for bit in found.inputs(root)})
            weights = [next(weight for weight, held in enumerate(columns) if bit in held) for bit in inputs]
            tried = np.arange(1 << len(inputs))
            total = sum((tried >> k & 1) << weight for k, weight in enumerate(weights))
            assert (numbers(found.values(roots, inputs)) << counter.at == total % (1 << width)).all()
            read += inputs
            for k, bit in enumerate(registers):
                later[counter.at + k].append(bit)
        for weight in range(len(columns)):
            waiting = found.nets.get(f"{tree}.l{number}_w{weight}_d1", [])
            assert weight < width
            read += [found.behind[bit] for bit in waiting]
            later[weight] += waiting
        assert sorted(read) == sorted(bit for held in columns for bit in held)  # each of them once
        columns = [held for held in later if held]
    if max(len(held) for held in columns) == 1:
        return [held[0] for held in columns]
    registers, inputs = found.nets[f"{tree}.total"], [bit for held in columns for bit in held]
    weights = [weight for weight, held in enumerate(columns) for _ in held]
    tried = np.arange(1 << len(inputs))
    total = sum((tried >> k & 1) << weight for k, weight in enumerate(weights))
    reached = total <= bits  # no sum is greater than the number of carries
    assert (numbers(found.values([found.behind[bit] for bit in registers], inputs)) == total)[reached].all()
    return registers


def prove_sum(found: Netlist, name: str, lanes: int, count: list[Bit]) -> None:
    """The partial sum's register takes what comes from the left plus the count."""
    left = found.nets[f"{name}_psum_i"]
    values = numbers(found.values([found.behind[bit] for bit in found.nets[f"{name}.psum"]], [*left, *count]))
    tried = np.arange(1 << len(left) + len(count))
    before, counted = tried & (1 << len(left)) - 1, tried >> len(left)
    reached = (before <= LEFT) & (counted <= lanes)
    assert (values == before + (counted << lanes % 2))[reached].all()


def prove(found: Netlist, name: str, lanes: int, family: str, table: Sequence[int] = ()) -> None:
    """A whole PE; its odd bit waits as long as the tree takes."""
    latency = popcount_latency(lanes, family)
    if not latency:
        prove_small(found, name, lanes)
        return
    prove_carries(found, name, lanes, [found.nets[f"{name}.popcount.odd_d1"][0], *found.nets[f"{name}.popcount.tree.bits"]], table)
    odd = found.nets[f"{name}.popcount.odd_d{latency}"]
    bit = odd[0]
    for _ in range(latency - 1):
        bit = found.behind[bit]
    assert bit == found.nets[f"{name}.popcount.odd_d1"][0]
    prove_sum(found, name, lanes, [*odd, *prove_tree(found, name, lanes, family)])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_size(family: str, tmp_path: Path) -> None:
    found = netlist({f"pe{lanes}": element(lanes, family) for lanes in SIZES}, tmp_path)
    for lanes in SIZES:
        prove(found, f"pe{lanes}", lanes, family)


@pytest.mark.parametrize(("lanes", "depth"), [(4, 1), (7, 2), (32, 8), (9, 5), (6, 16)])
def test_baked_weights(lanes: int, depth: int, tmp_path: Path) -> None:
    part = element(lanes, "xc7", depth)
    prove(netlist({"pe": part}, tmp_path), "pe", lanes, "xc7", part._table)


@pytest.mark.parametrize(("family", "module", "before", "after"), [
    ("xc7", "carries", " & ", " | "),
    ("xc7", "tree", " \\^ ", " | "),
    ("ecp5", "tree", r"(l1_w0_d1) <= bits\[15\]", r"\1 <= bits[14]"),  # a bit that waits
    ("xc7", "pe", r" \+ ", " - "),
    ("ecp5", "popcount", "odd_d3 <= odd_d2", "odd_d3 <= odd_d1"),  # comes too early
])
def test_a_planted_bug_is_found(family: str, module: str, before: str, after: str, tmp_path: Path) -> None:
    found = netlist({"pe": element(32, family)}, tmp_path, planted(module, before, after))
    with pytest.raises((AssertionError, KeyError)):  # a register that nobody reads any more isn't in the netlist
        prove(found, "pe", 32, family)
