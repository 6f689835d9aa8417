"""The systolic array against sums written out in numpy, over random shapes, driven as a window drives it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator

from bwnhw.array_block import Array, Step
from bwnhw.blocks import Window
from bwnhw.design import design
from bwnhw.geometry import Geometry
from bwnhw.network import BIPOLAR_WEIGHTS, UNIPOLAR_WEIGHTS, Conv, Input, Ints, Threshold, Topology, signed_weights
from bwnhw.plan import Engine, Plan
from bwnhw.rtl.array import SystolicArray
from bwnhw.rtl.edge import SplitAccumulator
from bwnhw.tables import ArrayTables


def blocks(rng, *, pe=None, lanes=None, memory="lut"):
    """(window, array) of a random layer, as design() makes them."""
    bits = int(rng.integers(1, 4))
    source = Ints(int(rng.integers(1, 6)), int(rng.integers(2, 5)), int(rng.integers(2, 5)), 0, 2**bits - 1)
    rows = int(rng.integers(1, 9))
    kernel = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    pads = (int(rng.integers(0, kernel[0])), 0, 0, int(rng.integers(0, kernel[1])))
    code = [BIPOLAR_WEIGHTS, UNIPOLAR_WEIGHTS, signed_weights(2), signed_weights(3)][rng.integers(4)]
    value = [(1, 0), (2, 1 - 2**bits)][rng.integers(2)]
    geometry = Geometry(source.height, source.width, kernel, (1, 1), pads)
    limit = source.channels * math.prod(kernel) * 2**bits * 8
    out = Ints(rows, geometry.out_height, geometry.out_width, -limit, limit)
    conv = Conv((0,), out, kernel, (1, 1), pads, code, value)
    fused = (Threshold((1,), Ints(rows, out.height, out.width, 0, 1), bool(rng.integers(2))),) if rng.integers(2) else ()
    planes = int(rng.choice([p for p in range(1, bits + 1) if bits % p == 0]))
    engine = Engine(pe or int(rng.integers(1, rows + 1)), int(rng.integers(1, source.channels + 1)),
                    int(rng.integers(1, math.prod(kernel) + 1)), planes, lanes or int(rng.integers(1, 8)), memory)
    stage = design(Topology((Input(source, 1, 0, None), conv, *fused)), Plan(((1, engine),))).stages[0]
    array = stage.array  # wider: here lanes that hold no channel are random too
    bits = array.acc_bits + 3
    return stage.window, replace(array, acc_bits=bits, out_bits=1 if fused else bits - array.down)


def random_tables(rng, array):
    reach = 1 << array.acc_bits - 4
    flips = rng.integers(0, 2, (array.pe, array.groups)) if array.flips else np.zeros((array.pe, array.groups))
    return ArrayTables(rng.integers(0, 2, (array.pe, array.fold_depth, array.lanes)).astype(bool),
                       rng.integers(-reach, reach, (array.pe, array.offsets)), flips.astype(bool))


def group_beats(window: Window, group: int, border: int, rng):
    """The beats of one group with random data: dicts of a BeatSignature's members, and the elements' planes (lanes, planes)."""
    beats = []
    for step in window.steps:
        for tap_beat in range(window.tap_beats):
            for word in range(window.inner):
                planes = rng.integers(0, 2, (window.taps * window.lanes, window.planes))
                fold = ((group * window.weight_planes + step.weight_plane) * window.tap_beats + tap_beat) * window.inner + word
                beats.append({"data": int("".join(map(str, planes.reshape(-1)[::-1])), 2), "first": int(not beats), "fold": fold,
                              "shift": step.shift if (tap_beat, word) == (0, 0) else 0, "last": 0,
                              "offset": border * window.groups + group, "planes": planes})
    beats[-1]["last"] = 1
    return beats


def expected(array: Array, tables: ArrayTables, beats) -> list[int]:
    """The formula of array_block.Array for one group, row by row."""
    results = []
    for row in range(array.pe):
        acc = 0
        for beat in beats:
            acc <<= beat["shift"]
            for lane, weight in enumerate(tables.weights[row, beat["fold"]].tolist()):
                acc += sum((int(weight) == bit) << plane for plane, bit in enumerate(beat["planes"][lane].tolist()))
        offset = int(tables.offsets[row, beats[0]["offset"]])
        if array.mode == "bits":
            flip = bool(tables.flips[row, beats[0]["offset"] % array.groups])
            results.append(int((acc + offset >= 0) != flip))
        else:
            results.append((((acc << array.up) + offset) >> array.down) % (1 << array.out_bits))
    return results


def simulate(dut, beats, flush):
    """Drive one beat (or None) per cycle; [(cycle, payload)] of the valid outputs."""
    seen = []

    async def bench(ctx):
        for cycle in range(len(beats) + flush):
            beat = beats[cycle] if cycle < len(beats) else None
            ctx.set(dut.i.valid, beat is not None)
            for name, value in (beat or {}).items():
                if name != "planes":
                    ctx.set(getattr(dut.i, name), value)
            if ctx.get(dut.o.valid):
                seen.append((cycle, ctx.get(dut.o.payload)))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def check(window, array, tables, rng, believed=None, groups=8):
    """Simulate random groups with random gaps; compare values and cycles with the formula over `believed` tables."""
    stimulus, wanted = [], []
    for _ in range(groups):
        stimulus += [None] * int(rng.integers(0, 3) * rng.integers(0, 2))
        beats = group_beats(window, int(rng.integers(window.groups)), int(rng.integers(window.classes)), rng)
        stimulus += beats
        bits = expected(array, believed or tables, beats)
        wanted.append((len(stimulus) - 1 + array.latency, sum(v << r * array.out_bits for r, v in enumerate(bits))))
    seen = simulate(SystolicArray(array, tables, window), stimulus, array.latency + 2)
    assert seen == wanted


@pytest.mark.parametrize("seed", range(40))
def test_equal_in_value_and_cycle(seed):
    rng = np.random.default_rng(seed)
    window, array = blocks(rng, memory=["lut", "block"][seed % 2])
    check(window, array, random_tables(rng, array), rng)


@pytest.mark.parametrize(("broken", "mode"), [("weights", "sums"), ("offsets", "sums"), ("flips", "bits")])
def test_a_broken_table_is_found(broken, mode):
    """One entry of a table changed behind the formula's back."""
    rng = np.random.default_rng(7)
    window, array = blocks(rng)
    while array.mode != mode or array.flips != (mode == "bits") or array.down:
        window, array = blocks(rng)
    tables = random_tables(rng, array)
    other = ArrayTables(tables.weights.copy(), tables.offsets.copy(), tables.flips.copy())
    entries = getattr(other, broken)
    entries.flat[-1] = 1 - entries.flat[-1]
    check(window, array, tables, np.random.default_rng(1), groups=60)
    with pytest.raises(AssertionError):
        check(window, array, other, np.random.default_rng(1), believed=tables, groups=60)


def simple(family: str, lanes: int, columns: int, beats: int, memory: str = "lut") -> tuple[Window, Array]:
    """A window and an array whose rows have one threshold each and may flip, so that only a sign leaves them."""
    kind = Window(Geometry(1, 1, (1, 1), (1, 1), (0, 0, 0, 0)), lanes, 1, beats, 1, 1, False, 1, (Step(0, 0, 0),), 1, 0, 1, 2 * beats)
    return kind, Array(3, 1, lanes, -(-lanes // columns), 1, kind.steps, beats, beats, 1, "bits", 0, 0, (lanes * beats).bit_length() + 2, 1,
                       True, memory, family)


def close_tables(block: Array, rng: np.random.Generator) -> ArrayTables:
    """Random weights, and offsets near to what sums are in the middle."""
    middle = block.lanes * block.group_beats // 2
    return ArrayTables(rng.integers(0, 2, (block.pe, block.fold_depth, block.lanes)).astype(bool),
                       rng.integers(-middle - 3, -middle + 4, (block.pe, 1)), rng.integers(0, 2, (block.pe, 1)).astype(bool))


@pytest.mark.parametrize(("lanes", "columns", "beats"), [(1, 1, 2), (4, 1, 2), (9, 2, 5), (32, 1, 8), (16, 3, 3)])
def test_sign_apart(lanes, columns, beats):
    """The two highest bits of the sum one cycle behind the others."""
    rng = np.random.default_rng(lanes)
    kind, block = simple("ecp5", lanes, columns, beats)
    assert block.sign_apart
    check(kind, block, close_tables(block, rng), rng, groups=60)


def test_a_sign_that_begins_elsewhere_is_found(monkeypatch):
    made = SplitAccumulator.__init__
    monkeypatch.setattr(SplitAccumulator, "__init__", lambda self, array, psum, start: made(self, array, psum,
                                                                                           start + (1 << array.acc_bits - 2)))
    kind, block = simple("ecp5", 3, 1, 2)
    rng = np.random.default_rng(1)
    with pytest.raises(AssertionError):
        check(kind, block, close_tables(block, rng), rng, groups=60)
