"""The sliding window against its clocked reference: every port in every cycle."""

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from window_reference import Beat, Reference, random_window

from bwnhw.array_block import Step
from bwnhw.blocks import Window
from bwnhw.geometry import Geometry
from bwnhw.rtl.window import SlidingWindow


def run(window: Window, seed: int, images: int = 3, p_valid: float = 0.7, p_credit: float = 0.7) -> int:
    """Simulate and compare; the number of beats seen."""
    rng = np.random.default_rng(seed)
    geometry = window.geometry
    data = rng.integers(0, 1 << window.bits, (images, geometry.height, geometry.width, window.words, window.lanes))
    words = [sum(int(code) << lane * window.bits for lane, code in enumerate(word)) for word in data.reshape(-1, window.lanes)]
    reference = Reference(window, data)
    dut = SlidingWindow(window)
    pixels = images * geometry.out_height * geometry.out_width
    seen = 0

    async def bench(ctx: Any) -> None:
        nonlocal seen
        sent, idle = 0, 0
        while idle < 50:
            valid, credit = sent < len(words) and rng.random() < p_valid, rng.random() < p_credit
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload, words[sent] if valid else int(rng.integers(1 << 10)) % (1 << window.lanes * window.bits))
            ctx.set(dut.credit, credit)
            ready, start, beat = reference.cycle(valid, credit)
            assert ctx.get(dut.i.ready) == ready
            if reference.pixel < pixels or start:  # behind the last image the hardware may begin another one
                assert ctx.get(dut.start) == start
            assert ctx.get(dut.o.valid) == (beat is not None)
            if beat:
                found = Beat(*(ctx.get(getattr(dut.o, name)) for name in ("data", "first", "last", "shift", "fold", "offset")))
                assert found == beat
                seen += 1
            sent += valid and ready
            idle = idle + 1 if reference.pixel == pixels else 0
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


@pytest.mark.parametrize("seed", range(60))
def test_random_window(seed: int) -> None:
    window = random_window(np.random.default_rng(seed))
    beats = run(window, seed, p_valid=(1.0, 0.7, 0.3)[seed % 3], p_credit=(1.0, 0.3)[seed // 3 % 2])
    assert beats == 3 * window.geometry.out_height * window.geometry.out_width * window.groups * window.group_beats


def test_one_beat_per_pixel_without_bubbles() -> None:
    """All nine taps at once: a padded map fed evenly gives a beat per cycle once the first rows are there."""
    geometry = Geometry(5, 6, (3, 3), (1, 1), (1, 1, 1, 1))
    window = Window(geometry, 2, 1, 1, 9, 1, False, 1, (Step(0, 0, 0),), 1, 0, geometry.classes, 32)
    assert run(window, 1, p_valid=1.0, p_credit=1.0) == 90


def test_reference_notices_a_wrong_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is no formality: a writer that is let in one word too early is caught."""
    from bwnhw.rtl import window_control

    right = window_control.walk_tables

    def wrong(window: Window) -> dict[str, Any]:
        tables = right(window)
        return {**tables, "freed": tables["freed"] + 1}

    monkeypatch.setattr(window_control, "walk_tables", wrong)
    geometry = Geometry(5, 6, (3, 3), (1, 1), (1, 1, 1, 1))
    with pytest.raises(AssertionError):
        run(Window(geometry, 2, 1, 1, 9, 1, False, 1, (Step(0, 0, 0),), 1, 0, geometry.classes, 32), 1)
