"""The batch runner: whole data sets through the Verilated design, every output and the cycle of every image's first and last beat."""

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bwnhw.errors import BwnhwError, MismatchError
from bwnhw.sim.cache import default_cache
from bwnhw.sim.interface import Interface, Watch
from bwnhw.sim.packing import pack, unpack
from bwnhw.sim.tools import find_tools
from bwnhw.sim.verilator import Harness, build
from bwnhw.sim.watch import activity, control_file, handshakes
from bwnhw.trace import STEADY, Trace

Progress = Callable[[int, int], None]
LIBRARY = Harness(Path(__file__).with_name("batch.cpp"), (), ("-DVM_TRACE=0",), ("verilated.cpp", "verilated_threads.cpp"), ("-shared",),
                  "libdut.so")


@dataclass(frozen=True)
class Traffic:
    """How source and sink behave: chances in 256 to pause in a cycle, and the seed of the pauses.

    A `seed` other than 0 also fills all registers with random bits before reset. The default never pauses.
    """

    seed: int = 0
    source_gap: int = 0
    sink_gap: int = 0


@dataclass(frozen=True)
class Usage:
    """What an array did, in cycles summed over the runs; `name` is its stage's.

    `busy`: a beat entered it; `starved`: it waited for input, `blocked`: for room behind it, both between its first and its last beat;
    `fill`: the rest of the run, from the first input handshake to the last output, before its first and after its last beat.
    """

    name: str
    busy: int
    starved: int
    blocked: int
    fill: int

    @property
    def utilisation(self) -> float:
        """Share of busy cycles from the first to the last beat."""
        return self.busy / (self.busy + self.starved + self.blocked)


@dataclass(frozen=True, eq=False)
class BatchResult:
    """outputs int64 (N, C, H, W); first_output, last_output int64 (N,), cycles since the first input handshake of the image's run.

    `stage_first`, `stage_last` int64 (stages, N): likewise where the stream leaves every stage; `usage`: of every array. Both are empty
    unless the stages were watched. `starts` are the images at which a run (one per job) starts in an empty pipeline; the first is 0.
    """

    outputs: NDArray[np.int64]
    first_output: NDArray[np.int64]
    last_output: NDArray[np.int64]
    stage_first: NDArray[np.int64]
    stage_last: NDArray[np.int64]
    starts: tuple[int, ...]
    usage: tuple[Usage, ...]
    versions: dict[str, str]


class _Job(ctypes.Structure):
    """Mirror of `struct Job` in batch.cpp."""

    _fields_ = [(name, ctypes.c_void_p) for name in (
        "input", "output", "first", "last", "source", "sink", "scope", "watched", "active", "stream_beats", "stream_first", "stream_last",
        "usage")] + [
        (name, ctypes.c_int64) for name in (
            "source_cycles", "sink_cycles", "streams", "arrays", "images", "in_beats", "in_bytes", "out_beats", "out_bytes", "idle_limit",
            "seed", "source_gap", "sink_gap", "sent", "received", "cycles", "last_errors", "frame_errors", "done", "cancel")] + [
        ("load", ctypes.c_void_p), ("load_words", ctypes.c_int64)]


def run_batch(interface: Interface, codes: NDArray[np.integer], *, jobs: int = 1, progress: Progress | None = None,
              traffic: Traffic = Traffic(), trace: Trace = STEADY, stages: bool = False, idle_limit: int = 1 << 20,
              cache: Path | None = None, level: int = 1, load: NDArray[np.uint32] | None = None) -> BatchResult:
    """Push codes (N, C, H, W) through the design; `jobs` runs share the images and go on at once.

    `trace` says when source and sink play along, counted from each run's first input handshake, beside the random pauses of `traffic`.
    `stages` looks at the stream that leaves every stage, and at what the arrays do, too. `progress(done, total)` is called about five
    times a second. `level` is the C++ compiler's optimisation, 0..3. `load`: the words that a loadable design is loaded with first,
    those in its folder unless given. Raises MismatchError where the design stops answering (no handshake on either port in
    `idle_limit` cycles), isn't loaded by the words, sets tlast on a wrong beat or reports a frame error; MissingError, ToolError as
    `bwnhw.sim.verilator.build`; InputError for codes that don't fit or a trace that nothing can come of.
    """
    tools = find_tools()
    jobs = max(1, min(jobs, len(codes)))
    cache = cache or default_cache()
    seen = _Seen(interface.stages if stages else (), interface.top)
    library = ctypes.CDLL(str(build(harness(seen.harness(cache), interface), interface, cache, tools, jobs, level)))
    words = np.ascontiguousarray(folder_words(interface) if load is None else load, np.uint32)
    source, sink = (np.array(pattern, np.uint8) for pattern in (trace.checked().source, trace.sink))
    beats = np.ascontiguousarray(pack(codes, interface.source))
    output = np.zeros((len(codes), interface.sink.beats, interface.sink.beat_bytes), np.uint8)
    first, last = np.full((2, len(codes)), -1, np.int64)
    starts = [len(codes) * job // jobs for job in range(jobs + 1)]
    usage = np.zeros((jobs, len(seen.arrays), 3), np.int64)
    runs, times = [], []
    for start, stop, used in zip(starts, starts[1:], usage, strict=False):
        times.append(np.full((2, len(seen.stages), stop - start), -1, np.int64))
        runs.append(_Job(
            input=beats[start:].ctypes.data, output=output[start:].ctypes.data, first=first[start:].ctypes.data,
            last=last[start:].ctypes.data, images=stop - start, in_beats=interface.source.beats, in_bytes=interface.source.beat_bytes,
            out_beats=interface.sink.beats, out_bytes=interface.sink.beat_bytes, idle_limit=idle_limit, seed=traffic.seed,
            source_gap=traffic.source_gap, sink_gap=traffic.sink_gap, source=source.ctypes.data, source_cycles=len(source),
            sink=sink.ctypes.data, sink_cycles=len(sink), load=words.ctypes.data,
            load_words=len(words), **seen.fields(times[-1], used)))
    statuses = _run_all(library, runs, len(codes), progress)
    for start, run, status in zip(starts, runs, statuses, strict=False):
        _check(interface, run, status, start)
    stage_first, stage_last = np.concatenate(times, axis=2)
    return BatchResult(unpack(output, interface.sink), first, last, stage_first, stage_last, tuple(starts[:-1]),
                       seen.usage(usage, sum(run.cycles for run in runs)), {"verilator": f"{tools.version} ({tools.origin})"})


def folder_words(interface: Interface) -> NDArray[np.uint32]:
    """The words that load the folder's model; none where its weights are in the Verilog."""
    return np.fromfile(interface.tables, "<u4").astype(np.uint32) if interface.tables else np.zeros(0, np.uint32)


def harness(base: Harness, interface: Interface) -> Harness:
    """The library's harness, which knows s_axis_load where the design has it."""
    return replace(base, compile=(*base.compile, "-DLOADABLE")) if interface.tables else base


class _Seen:
    """The streams and arrays inside that a run looks at, as C++ takes them; what it points to must live as long as the run."""

    def __init__(self, stages: tuple[Watch, ...], top: str) -> None:
        self.stages, self._top = stages, top
        self.arrays = tuple(stage for stage in stages if stage.busy)
        self._scope = ctypes.create_string_buffer(f"TOP.{top}".encode())
        self._streams, self._active = (_names(names) for names in (handshakes(stages), activity(self.arrays)))
        self._beats = np.array([stage.stream.beats for stage in stages], np.int64)

    def harness(self, cache: Path) -> Harness:
        """The library's harness, with the streams' handshakes made readable."""
        if not self.stages:
            return LIBRARY
        names = (*handshakes(self.stages), *activity(self.arrays))
        return replace(LIBRARY, verilate=(str(control_file(cache, self._top, names)),))

    def fields(self, times: NDArray[np.int64], usage: NDArray[np.int64]) -> dict[str, int]:
        """The fields of a `_Job` that writes cycles of first and last beats into `times` (2, stages, images), counts into `usage`."""
        return {"scope": ctypes.addressof(self._scope), "watched": ctypes.addressof(self._streams), "streams": len(self.stages),
                "stream_beats": self._beats.ctypes.data, "stream_first": times[0].ctypes.data, "stream_last": times[1].ctypes.data,
                "active": ctypes.addressof(self._active), "arrays": len(self.arrays), "usage": usage.ctypes.data}

    def usage(self, counts: NDArray[np.int64], cycles: int) -> tuple[Usage, ...]:
        """What the arrays did in runs of `cycles` in all, from `counts` (runs, arrays, 3)."""
        sums = counts.sum(axis=0).tolist()
        return tuple(Usage(stage.name, busy, starved, blocked, cycles - busy - starved - blocked)
                     for stage, (busy, starved, blocked) in zip(self.arrays, sums, strict=True))


def _names(names: tuple[str, ...]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * len(names))(*(name.encode() for name in names))


def _run_all(library: ctypes.CDLL, runs: list[_Job], total: int, progress: Progress | None) -> list[int]:
    """Every run in a thread of its own (ctypes lets go of the interpreter); interrupted, all of them are told to stop."""
    statuses = [-1] * len(runs)

    def work(number: int) -> None:
        statuses[number] = library.bwnhw_run(ctypes.byref(runs[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(runs))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
                if progress:
                    progress(sum(run.done for run in runs), total)
    except BaseException:
        for run in runs:
            run.cancel = 1
        for thread in threads:
            thread.join()
        raise
    return statuses


def _check(interface: Interface, run: _Job, status: int, start: int) -> None:
    where = (f"{interface.top}: image {start + run.received // interface.sink.beats}, "
             f"output beat {run.received % interface.sink.beats} of {interface.sink.beats}")
    if status == 1:
        raise MismatchError(f"{where} never came: no handshake in {run.idle_limit} cycles, after {run.sent} of "
                            f"{run.images * run.in_beats} input beats had been taken")
    if status == 3:
        raise BwnhwError(f"{interface.top}: Verilator shows no signals of the stages' streams, expected those of the side-car")
    if status == 4:
        raise MismatchError(f"{interface.top}: expected `loaded` to rise after the load, but it stays low after {run.load_words} words: "
                            "too few, too many, or another design's")
    if status != 0:
        raise BwnhwError(f"{where}: the batch run ended with status {status}")
    if run.last_errors:
        raise MismatchError(f"{interface.top}: tlast was wrong on {run.last_errors} of {run.received} output beats")
    if run.frame_errors:
        raise MismatchError(f"{interface.top}: frame_error was raised though every tlast came on time")
