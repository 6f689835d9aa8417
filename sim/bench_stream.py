"""cocotb tests of a generated design's behaviour as a stream: values under pauses, reset at any time, protocol, frames, cycles.

Runs inside the simulator; `runner` starts it with a case file in the plusarg `case`.
"""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import Timer
from numpy.typing import NDArray

from bwnhw.sim.case import Report, first_difference, read_case, write_report
from bwnhw.sim.interface import Stream, read_interface
from bwnhw.sim.packing import pack, unpack
from bwnhw.sim.streams import PERIOD, Monitor, Pattern, Source, cycle_now, run_sink

STEADY = Pattern()
PATTERNS = {"gaps": (Pattern(0.5, 3), STEADY), "stalls": (STEADY, Pattern(0.5, 3)), "both": (Pattern(0.3, 2), Pattern(0.3, 2)),
            "bursts": (Pattern(0.02, 60), Pattern(0.02, 60))}
WAIT_CYCLES = 8  # after reset, before the first input
QUIET_CYCLES = 1000  # without a handshake: a stalled pipeline is full
EXTRA_CYCLES = 50  # watched behind the last beat, where none may come


class Bench:
    """One design under test with its stimuli and expectations; a test is a reset and one or more runs."""

    def __init__(self, dut: Any):
        self.dut = dut
        self.case = read_case(Path(str(cocotb.plusargs["case"])))
        self.interface = read_interface(Path(self.case.directory))
        with np.load(self.case.data) as data:
            self.data = {name: data[name] for name in data.files}
        self.words = [] if self.interface.tables is None else np.fromfile(self.interface.tables, "<u4").tolist()
        self.tasks: list[Task[None]] = []
        Clock(dut.aclk, PERIOD, unit="step").start()

    async def reset(self, cycles: int = 4) -> None:
        """Hold reset for `cycles` ≥ 2 cycles; from the third on nothing may be offered, nor afterwards before there is input. A design
        that isn't loaded is, then."""
        dut, edge = self.dut, self.dut.aclk.rising_edge
        for task in self.tasks:
            task.cancel()
        self.tasks = []
        dut.aresetn.value = 0
        dut.s_axis_tvalid.value = 0
        dut.m_axis_tready.value = 0
        if self.words:
            dut.s_axis_load_tvalid.value = 0
        for cycle in range(cycles + WAIT_CYCLES):
            if cycle == cycles:
                dut.aresetn.value = 1
            await edge
            if cycle >= 2:
                place = "in" if cycle < cycles else "after"
                assert not dut.m_axis_tvalid.value, f"m_axis_tvalid is high {place} reset without any input"
                assert not dut.frame_error.value, f"frame_error is high {place} reset without any input"
        if self.words and not dut.loaded.value:
            await self.load(self.words)
            assert dut.loaded.value, f"loaded stays low after {len(self.words)} words"

    async def load(self, words: list[int], last: bool = True) -> None:
        """Send words to s_axis_load, tlast with the last one if `last`, and wait until they are through."""
        dut, edge = self.dut, self.dut.aclk.rising_edge
        dut.s_axis_load_tvalid.value = 1
        for number, word in enumerate(words, 1):
            dut.s_axis_load_tdata.value = word
            dut.s_axis_load_tlast.value = last and number == len(words)
            await edge
            while not dut.s_axis_load_tready.value:
                await edge
        dut.s_axis_load_tvalid.value = 0
        for _ in range(len(self.words) + EXTRA_CYCLES):  # no chain has more memories than words
            await edge

    def start(self, codes: NDArray[np.int64], patterns: tuple[Pattern, Pattern], seed: int, lasts: list[bool] | None = None
              ) -> tuple[Source, Monitor, list[Monitor]]:
        """Set source, sink and monitors going."""
        dut, source = self.dut, self.interface.source
        rows = pack(codes, source).reshape(-1, source.beat_bytes)
        beats = [int.from_bytes(row.tobytes(), "little") for row in rows]
        if lasts is None:
            lasts = [beat % source.beats == source.beats - 1 for beat in range(len(beats))]
        driver = Source(dut, beats, lasts, patterns[0], seed)
        output = Monitor(dut.aclk, "m_axis", dut.m_axis_tvalid, dut.m_axis_tready, dut.m_axis_tdata, dut.m_axis_tlast)
        inner = []
        if self.case.layers:
            inner = [Monitor(dut.aclk, stage.name, *(getattr(dut, name) for name in (stage.valid, stage.ready, stage.payload)))
                     for stage in self.interface.stages]
        self.tasks = [cocotb.start_soon(job) for job in (
            run_sink(dut, patterns[1], seed + 1), *(monitor.run() for monitor in (output, *inner)), driver.run())]
        return driver, output, inner

    async def finish(self, driver: Source, output: Monitor, images: int) -> None:
        """Wait until `images` images are out, and a while longer; an AssertionError says where the design got stuck."""
        wanted, edge = images * self.interface.sink.beats, self.dut.aclk.rising_edge
        idle, before = 0, (0, 0)
        step = max(1, min(64, self.case.idle_limit))
        while len(output.beats) < wanted:
            await Timer(step * PERIOD, "step")
            now = (len(driver.taken), len(output.beats))
            idle, before = (idle + step if now == before else 0), now
            image, beat = divmod(now[1], self.interface.sink.beats)
            assert idle < self.case.idle_limit, (
                f"stuck: image {image}, output beat {beat} of {self.interface.sink.beats} never came: no handshake in {idle} cycles, "
                f"after {now[0]} input beats had been taken")
        for _ in range(EXTRA_CYCLES):
            await edge

    def obeyed(self, output: Monitor, inner: list[Monitor]) -> None:
        """No monitor has seen a breach of the protocol."""
        for monitor in (*inner, output):
            assert not monitor.errors, monitor.errors[0]

    def compare(self, output: Monitor, inner: list[Monitor], first: int, count: int) -> None:
        """Hold what the monitors saw against images first..first+count−1: protocol, tlast, frame error, values layer by layer."""
        self.obeyed(output, inner)
        sink = self.interface.sink
        assert len(output.beats) == count * sink.beats, f"m_axis: {count} images are {count * sink.beats} beats, {len(output.beats)} came"
        for stage, monitor in zip(self.interface.stages, inner, strict=False):
            expected = self.data[f"node{stage.node}"][first:first + count]
            flat = expected.reshape(count, expected.shape[1], 1, -1)
            difference = first_difference(flat, self.values(monitor, stage.stream, count, stage.name), stage.node)
            if difference:
                pixel = divmod(difference.pixel[1], expected.shape[3])
                raise AssertionError(f"{stage.name}: {replace(difference, pixel=pixel, image=first + difference.image)}")
        node = self.interface.stages[-1].node
        difference = first_difference(self.data["output"][first:first + count], self.values(output, sink, count, "m_axis"), node)
        assert not difference, f"output: {difference and replace(difference, image=first + difference.image)}"
        for number, beat in enumerate(output.beats):
            image, place = divmod(number, sink.beats)
            assert beat.last == (place == sink.beats - 1), (
                f"m_axis: tlast is {int(beat.last)} on image {first + image}, beat {place} of {sink.beats}")

    def values(self, monitor: Monitor, stream: Stream, count: int, name: str) -> NDArray[np.int64]:
        """Unpack the first `count` images that a monitor saw."""
        wanted = count * stream.beats
        assert len(monitor.beats) >= wanted, f"{name}: {count} images are {wanted} beats, {len(monitor.beats)} came"
        octets = b"".join(beat.data.to_bytes(stream.beat_bytes, "little") for beat in monitor.beats[:wanted])
        return unpack(np.frombuffer(octets, np.uint8).reshape(count, stream.beats, stream.beat_bytes), stream)

    async def check(self, first: int, count: int, patterns: tuple[Pattern, Pattern] = (STEADY, STEADY), seed: int = 0) -> None:
        """Push images first..first+count−1 through and compare everything."""
        driver, output, inner = self.start(self.data["input"][first:first + count], patterns, self.case.seed + seed)
        await self.finish(driver, output, count)
        self.compare(output, inner, first, count)
        assert not self.dut.frame_error.value, "frame_error is high though every tlast came on time"

    async def show_progress(self, output: Monitor) -> None:
        """Write one byte per finished image to the case's progress file, for ever."""
        while True:
            await Timer(1000 * PERIOD, "step")
            Path(self.case.progress).write_bytes(bytes(len(output.beats) // self.interface.sink.beats))


@cocotb.test()
async def values_and_cycles(dut: Any) -> None:
    """All images, source and sink never pausing: every value, and the cycle of every image's first and last output."""
    bench = Bench(dut)
    await bench.reset()
    images = len(bench.data["input"])
    driver, output, inner = bench.start(bench.data["input"], (STEADY, STEADY), bench.case.seed)
    bench.tasks.append(cocotb.start_soon(bench.show_progress(output)))
    await bench.finish(driver, output, images)
    bench.compare(output, inner, 0, images)
    assert not dut.frame_error.value, "frame_error is high though every tlast came on time"

    def since_start(monitor: Monitor, beat: int, beats: int) -> tuple[int, ...]:
        return tuple(seen.cycle - driver.taken[0] for seen in monitor.beats[beat::beats])

    beats = bench.interface.sink.beats
    stages = {stage.name: since_start(monitor, stage.stream.beats - 1, stage.stream.beats)
              for stage, monitor in zip(bench.interface.stages, inner, strict=False)}
    write_report(Report(since_start(output, 0, beats), since_start(output, beats - 1, beats), stages), Path(bench.case.report))


@cocotb.test()
@cocotb.parametrize(pattern=list(PATTERNS))
async def values_under_pauses(dut: Any, pattern: str) -> None:
    """A few images while source and sink pause at random."""
    bench = Bench(dut)
    await bench.reset()
    await bench.check(0, bench.case.few, PATTERNS[pattern], seed=list(PATTERNS).index(pattern))


@cocotb.test()
async def reset_at_any_time(dut: Any) -> None:
    """Reset in mid-image, pipeline moving or stalled: the design starts again at an image boundary with nothing left over."""
    bench = Bench(dut)
    draw = random.Random(bench.case.seed)
    few, sink = bench.case.few, (STEADY, Pattern(1.0, 1 << 30))
    await bench.reset()
    for attempt in range(4):
        patterns = (STEADY, sink[attempt % 2])
        driver, output, inner = bench.start(np.concatenate([bench.data["input"][:few]] * 2), patterns, attempt)
        wanted, since = draw.randint(1, bench.interface.source.beats * few), cycle_now()
        while len(driver.taken) < wanted and cycle_now() - (driver.taken or [since])[-1] < QUIET_CYCLES:
            await dut.aclk.rising_edge
        bench.obeyed(output, inner)
        await bench.reset(draw.randint(2, 5))
        await bench.check(few - 1, 1, PATTERNS["both"] if attempt % 2 else (STEADY, STEADY), attempt)
        await bench.reset(2)


@cocotb.test()
async def misplaced_last(dut: Any) -> None:
    """A tlast too early or missing raises frame_error for good, and shifts no frame; reset clears it."""
    bench = Bench(dut)
    beats, few = bench.interface.source.beats, bench.case.few
    right = [beat % beats == beats - 1 for beat in range(few * beats)]
    for wrong in sorted({0, beats // 2, beats - 1}):
        lasts = [last != (beat == wrong) for beat, last in enumerate(right)]
        await bench.reset()
        driver, output, inner = bench.start(bench.data["input"][:few], (STEADY, STEADY), 0, lasts)
        await bench.finish(driver, output, few)
        assert dut.frame_error.value, f"frame_error stays low though tlast was {int(lasts[wrong])} on beat {wrong} of {beats}"
        bench.compare(output, inner, 0, few)
    await bench.reset()
