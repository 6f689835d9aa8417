"""Resizers, FIFO and credits against clocked references of the docstrings in `bwnhw.blocks`: every handshake in its cycle."""

from typing import Any

import numpy as np
import pytest
from amaranth import Module
from amaranth.sim import Simulator

from bwnhw.blocks import Downsize, Fifo, Upsize
from bwnhw.rtl.fifo import SHALLOW, CreditFifo, Credits
from bwnhw.rtl.resize import Downsizer, Upsizer

Words = list[int]


def pack(elements: Words, bits: int) -> int:
    return sum(element << place * bits for place, element in enumerate(elements))


def split(words: Words, lanes_in: int, ratio: int, bits: int) -> list[Words]:
    """Elements of every group of `ratio` words."""
    elements = [word >> lane * bits & (1 << bits) - 1 for word in words for lane in range(lanes_in)]
    size = lanes_in * ratio
    return [elements[start:start + size] for start in range(0, len(elements) - size + 1, size)]


def fit(elements: Words, lanes: int) -> Words:
    """Cut or zero-padded at the top."""
    return (elements + [0] * lanes)[:lanes]


def drive(dut: Any, words: Words, seed: int, p_valid: float, p_ready: float, cycles: int) -> tuple[Words, Words, Words]:
    """Cycles of input and output handshakes, and the output words; both sides patient, at random."""
    rng = np.random.default_rng(seed)
    taken: Words = []
    given: Words = []
    out: Words = []
    valids, readies = rng.random(cycles) < p_valid, rng.random(cycles) < p_ready

    async def bench(ctx: Any) -> None:
        for cycle in range(cycles):
            valid = len(taken) < len(words) and bool(valids[cycle])
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload, words[len(taken)] if valid else 0)
            ctx.set(dut.o.ready, bool(readies[cycle]))
            ready = ctx.get(dut.i.ready)
            if ctx.get(dut.o.valid):
                if len(out) == len(given):
                    out.append(ctx.get(dut.o.payload))
                assert ctx.get(dut.o.payload) == out[-1], "payload must hold until it is taken"
                if readies[cycle]:
                    given.append(cycle)
            if valid and ready:
                taken.append(cycle)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return taken, given, out


def earliest(bounds: list[int], allowed: np.ndarray) -> int:
    """First cycle at or after every bound in which the outside allows it; −1 past the end."""
    later = np.flatnonzero(allowed[max(bounds):])
    return max(bounds) + int(later[0]) if len(later) else -1


@pytest.mark.parametrize("seed", range(12))
def test_upsizer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lanes_in, ratio, lanes_out, bits = (int(v) for v in rng.integers((1, 1, 1, 1), (4, 5, 10, 4)))
    words = rng.integers(0, 1 << lanes_in * bits, 8 * ratio).tolist()
    p_valid, p_ready = ((1, 1), (0.6, 1), (1, 0.5), (0.7, 0.4))[seed % 4]
    taken, given, out = drive(Upsizer(Upsize(lanes_in, ratio, lanes_out, bits)), words, seed, p_valid, p_ready, 300)
    assert out == [pack(fit(group, lanes_out), bits) for group in split(words, lanes_in, ratio, bits)]
    rng = np.random.default_rng(seed)
    valids, readies = rng.random(300) < p_valid, rng.random(300) < p_ready
    ins: Words = []
    outs: Words = []
    for n in range(len(words)):
        freed = [outs[n // ratio - 1]] if n % ratio == 0 and n else []
        ins.append(earliest([ins[-1] + 1 if ins else 0, *freed], valids))
        if n % ratio == ratio - 1:
            outs.append(earliest([ins[-1] + 1], readies))
    assert (taken, given) == (ins, outs)


@pytest.mark.parametrize("seed", range(12))
def test_downsizer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lanes_in, ratio, lanes_out, bits = (int(v) for v in rng.integers((1, 1, 1, 1), (10, 5, 4, 4)))
    words = rng.integers(0, 1 << lanes_in * bits, 12).tolist()
    p_valid, p_ready = ((1, 1), (0.6, 1), (1, 0.5), (0.7, 0.4))[seed % 4]
    taken, given, out = drive(Downsizer(Downsize(lanes_in, ratio, lanes_out, bits)), words, seed, p_valid, p_ready, 300)
    wide = [fit(split([word], lanes_in, 1, bits)[0], lanes_out * ratio) for word in words]
    assert out == [pack(word[part * lanes_out:(part + 1) * lanes_out], bits) for word in wide for part in range(ratio)]
    rng = np.random.default_rng(seed)
    valids, readies = rng.random(300) < p_valid, rng.random(300) < p_ready
    ins: Words = []
    outs: Words = []
    for _ in words:
        ins.append(earliest([ins[-1] + 1 if ins else 0, outs[-1] if outs else 0], valids))
        for part in range(ratio):
            outs.append(earliest([ins[-1] + 1, outs[-1] + 1 if part else 0], readies))
    assert (taken, given) == (ins, outs)


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8, SHALLOW, SHALLOW + 1, 128])
def test_fifo_and_credits(depth: int) -> None:
    """A beat is there the cycle after its write; a credit the cycle after the read; nothing lost over many fillings."""
    rng = np.random.default_rng(depth)
    words = rng.integers(0, 1 << 12, 5 * depth + 40).tolist()
    fifo = CreditFifo(Fifo(3, 4, depth))
    credits = Credits(depth)
    written: Words = []
    read: Words = []

    async def bench(ctx: Any) -> None:
        eager = 0.9
        for cycle in range(40 * depth + 400):
            eager = 1.9 - eager if cycle % (3 * depth + 7) == 0 else eager  # now fill, now drain
            write = len(written) < len(words) and bool(ctx.get(credits.some)) and rng.random() < eager
            ready = rng.random() < 1.0 - eager + 0.1
            assert ctx.get(credits.some) == (len(written) - len(read) < depth)
            ctx.set(fifo.i.valid, write)
            ctx.set(fifo.i.payload, words[len(written)] if write else 0)
            ctx.set(fifo.o.ready, ready)
            assert ctx.get(fifo.o.valid) == (len(written) > len(read))
            taken = ready and len(written) > len(read)
            if len(written) > len(read):
                assert ctx.get(fifo.o.payload) == words[len(read)]
            ctx.set(credits.take, write)
            ctx.set(credits.give, taken)
            read.extend([cycle] * taken)
            written.extend([cycle] * write)
            await ctx.tick()

    m = Module()
    m.submodules += [fifo, credits]
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(read) == len(words)
