"""cocotb tests of the load port of a loadable design; beside `bench_stream`, whose bench they use."""

from typing import Any

import cocotb

from bwnhw.sim.bench_stream import Bench


@cocotb.test()
async def broken_loads(dut: Any) -> None:
    """A load that is too short, too long or another design's leaves the design closed; a right one after it opens it."""
    bench = Bench(dut)
    await bench.reset()
    words = bench.words
    broken = {"is a word short": [*words[:-2], words[-1]], "is a word long": [*words[:-1], 0, words[-1]], "goes on": [*words, words[-1]],
              "is another design's": [*words[:-1], words[-1] ^ 1], "is its last word": words[-1:]}
    for what, load in broken.items():
        await bench.load(load)
        assert not dut.loaded.value, f"loaded is high after a load that {what}"
        dut.s_axis_tvalid.value = 1
        await dut.aclk.rising_edge
        await dut.aclk.rising_edge
        assert not dut.s_axis_tready.value, f"s_axis_tready is high after a load that {what}"
        dut.s_axis_tvalid.value = 0
        await bench.load(words)
        assert dut.loaded.value, f"loaded stays low after a right load behind one that {what}"
    await bench.check(0, bench.case.few)


@cocotb.test()
async def reset_in_a_load(dut: Any) -> None:
    """A load that a reset interrupts counts for nothing: the design stays closed, and the next load is a whole one."""
    bench = Bench(dut)
    await bench.reset()
    for words in sorted({1, len(bench.words) // 2, len(bench.words) - 1}):
        await bench.load(bench.words[:words], last=False)
        assert not dut.loaded.value, f"loaded is high after {words} of {len(bench.words)} words"
        await bench.reset()  # which loads what isn't loaded
        await bench.check(0, 1)
    await bench.reset()
    assert dut.loaded.value, "loaded falls in a reset though nothing was loaded"
