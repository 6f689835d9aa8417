"""One generated folder against the golden model of the model in it: cocotb for behaviour, the batch runner for volume."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bwnhw import golden
from bwnhw.codes import encode
from bwnhw.cycles import cycles
from bwnhw.design import design
from bwnhw.errors import InputError, MismatchError
from bwnhw.lower import lower
from bwnhw.network import Network
from bwnhw.onnx_read import load
from bwnhw.plan import from_json
from bwnhw.rtl.generate import read
from bwnhw.sim.batch import run_batch
from bwnhw.sim.cache import default_cache
from bwnhw.sim.case import Case, Report, first_difference
from bwnhw.sim.interface import Interface, read_interface
from bwnhw.sim.runner import run_bench
from bwnhw.sim.tools import Tools, find_tools

Progress = Callable[[int, int], None]
FEW = 6  # images under pauses and resets


@dataclass(frozen=True)
class StageCycles:
    """Cycles measured where a stage's stream leaves it: last beat of image 0, and distance of the last beats of the last two images."""

    name: str
    latency: int
    interval: int | None


@dataclass(frozen=True, eq=False)
class SimResult:
    """What a simulation found. `passed` sums it up; `failure` is the first thing wrong in one sentence, None where nothing is.

    `images` went through the batch runner, `bench_images` through cocotb; in `mismatches` of the former some value differs.
    `latency` and `interval` are cycles as measured by cocotb: last output of image 0, and the distance of the last outputs of the
    last two images (None for one image). `stages` likewise, where the layers were looked at. `outputs` int64 (N, C, H, W) are the
    hardware's, `tests` the names of the cocotb tests that passed, `versions` the tools'.
    """

    images: int
    bench_images: int
    mismatches: int
    failure: str | None
    latency: int | None
    interval: int | None
    stages: tuple[StageCycles, ...]
    outputs: NDArray[np.int64]
    tests: tuple[str, ...]
    versions: dict[str, str]

    @property
    def passed(self) -> bool:
        """No image differs and no test failed."""
        return self.failure is None and not self.mismatches


def simulate(folder: Path, images: ArrayLike | None = None, *, count: int = 32, bench_images: int = 200, layers: bool = False,
             waves: Path | None = None, seed: int = 1, jobs: int = 2, cache: Path | None = None, progress: Progress | None = None
             ) -> SimResult:
    """Simulate what `bwnhw generate` wrote into `folder`, against the golden model of the model.onnx in it.

    `images` as `bwnhw.codes.encode` takes them; None draws `count` images of random codes from `seed`. All go through the batch
    runner, the first `bench_images` through cocotb. `layers` compares the stream of every stage too; `waves` names a VCD file to
    write of the cocotb run (one of few images is enough). Raises InputError for a folder or images that don't fit, MissingError,
    ToolError; a mismatch is in the result.
    """
    generated = read(folder)
    network = lower(load(generated.model))
    if images is None:
        source = network.topology.nodes[0].out
        codes = np.random.default_rng(seed).integers(source.lo, source.hi + 1, (count, *source.shape))
    else:
        codes = encode(network, images)
    if not len(codes):
        raise InputError("images: expected at least one, found none")
    # Between two handshakes lies no more than a whole image's way through an empty pipeline.
    patience = 2 * cycles(design(network.topology, from_json(generated.plan.read_text(encoding="utf-8")))).latency + 1000
    return verify(read_interface(folder), network, codes, bench_images=bench_images, layers=layers, waves=waves, seed=seed, jobs=jobs,
                  cache=cache, progress=progress, patience=patience)


def verify(interface: Interface, network: Network, codes: NDArray[np.int64], *, bench_images: int, layers: bool, waves: Path | None,
           seed: int, jobs: int, cache: Path | None, progress: Progress | None, patience: int) -> SimResult:
    """As `simulate`, for a network at hand; a run is stuck after `patience` cycles without a handshake."""
    tools, cache = find_tools(), cache or default_cache()
    bench = codes[:bench_images]
    expected, total = golden.outputs(network, codes), len(bench) + len(codes)
    outputs, mismatches, report = np.zeros_like(expected), len(codes), Report((), (), {})
    tests: tuple[str, ...] = ()
    failures: list[str] = []
    try:
        result = run_batch(interface, codes, jobs=jobs, cache=cache, idle_limit=patience,
                           progress=progress and (lambda done, _: progress(done, total)))
        outputs, mismatches = result.outputs, int((result.outputs != expected).any(axis=(1, 2, 3)).sum())
        difference = first_difference(expected, outputs, len(network.topology.nodes) - 1)
        failures += [f"batch: {difference}"] if difference else []
    except MismatchError as error:
        failures.append(f"batch: {error}")
    case = Case(str(interface.verilog.parent), "", "", "", min(FEW, len(bench)), layers, patience, seed)
    try:
        tests, report = _bench(case, network, bench, tools, cache, waves, jobs,
                               progress and (lambda done, _: progress(len(codes) + done, total)))
    except MismatchError as error:
        failures.insert(0, f"cocotb: {error}")  # it says more: which stage, with the layers
    return SimResult(len(codes), len(bench), mismatches, failures[0] if failures else None, _latency(report.last_output),
                     _interval(report.last_output), tuple(StageCycles(name, last[0], _interval(last)) for name, last in
                                                          report.stages.items()),
                     outputs, tests, {"verilator": f"{tools.version} ({tools.origin})", "cocotb": version("cocotb")})


def _bench(case: Case, network: Network, codes: NDArray[np.int64], tools: Tools, cache: Path, waves: Path | None, jobs: int,
           progress: Progress | None) -> tuple[tuple[str, ...], Report]:
    """Run cocotb on the images; names of the tests and what was measured."""
    with tempfile.TemporaryDirectory(prefix="bwnhw-") as scratch:
        data = Path(scratch) / "data.npz"
        maps = golden.run(network, codes)
        np.savez(data, allow_pickle=False, input=codes, output=maps[-1],
                 **{f"node{node}": values for node, values in enumerate(maps) if case.layers})
        return run_bench(replace(case, data=str(data)), tools, cache, waves=waves, jobs=jobs, progress=progress)


def _latency(last: tuple[int, ...]) -> int | None:
    return last[0] if last else None


def _interval(last: tuple[int, ...]) -> int | None:
    return last[-1] - last[-2] if len(last) > 1 else None
