"""One generated folder against the golden model of the model in it: cocotb for behaviour, the batch runner for volume."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
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
from bwnhw.sim.batch import BatchResult, Usage, run_batch
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
    last two images (None for one image). `stages` likewise, where the layers were looked at; `usage` of every array in the batch
    runner. `outputs` int64 (N, C, H, W) are the hardware's, `tests` the names of the cocotb tests that passed, `versions` the tools'.
    """

    images: int
    bench_images: int
    mismatches: int
    failure: str | None
    latency: int | None
    interval: int | None
    stages: tuple[StageCycles, ...]
    usage: tuple[Usage, ...]
    outputs: NDArray[np.int64]
    tests: tuple[str, ...]
    versions: dict[str, str]

    @property
    def passed(self) -> bool:
        """No image differs and no test failed."""
        return self.failure is None and not self.mismatches


@dataclass(frozen=True)
class Settings:
    """How to simulate: see `simulate`; a run is stuck after `patience` cycles without a handshake."""

    bench_images: int
    layers: bool
    waves: Path | None
    seed: int
    jobs: int
    cache: Path
    patience: int


def simulate(folder: Path, images: ArrayLike | None = None, *, count: int = 32, bench_images: int = 200, layers: bool = False,
             waves: Path | None = None, seed: int = 1, jobs: int = 2, cache: Path | None = None, progress: Progress | None = None
             ) -> SimResult:
    """Simulate what `bwnhw generate` wrote into `folder`, against the golden model of the model.onnx in it.

    `images` as `bwnhw.codes.encode` takes them; None draws `count` images of random codes from `seed`. All go through the batch
    runner, the first `bench_images` through cocotb. `layers` compares the stream of every stage too; `waves` names a VCD file to
    write of the cocotb run (one of few images is enough). `progress(done, total)` counts images. Raises InputError for a folder or
    images that don't fit, MissingError, ToolError; a mismatch is in the result.
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
    latency = cycles(design(network.topology, from_json(generated.plan.read_text(encoding="utf-8")))).latency
    settings = Settings(bench_images, layers, waves, seed, jobs, cache or default_cache(), 2 * latency + 1000)
    return verify(read_interface(folder), network, codes, settings, progress)


def verify(interface: Interface, network: Network, codes: NDArray[np.int64], settings: Settings, progress: Progress | None = None
           ) -> SimResult:
    """As `simulate`, for a network and its input codes (N, C, H, W) at hand."""
    tools = find_tools()
    bench_codes = codes[:settings.bench_images]
    total = len(codes) + len(bench_codes)
    expected = golden.outputs(network, codes)
    batch, batch_failure = _volume(interface, codes, expected, settings, progress and (lambda done, _: progress(done, total)))
    tests, report, bench_failure = _behaviour(interface, network, bench_codes, tools, settings,
                                              progress and (lambda done, _: progress(len(codes) + done, total)))
    outputs = batch.outputs if batch else np.zeros_like(expected)
    wrong = (outputs != expected).any(axis=(1, 2, 3)) if batch else np.ones(len(codes), bool)
    stages = tuple(StageCycles(name, last[0], _interval(last)) for name, last in report.stages.items())
    return SimResult(len(codes), len(bench_codes), int(wrong.sum()), bench_failure or batch_failure or disagreement(batch, report),
                     report.last_output[0] if report.last_output else None, _interval(report.last_output), stages,
                     batch.usage if batch else (), outputs, tests,
                     {"verilator": f"{tools.version} ({tools.origin})", "cocotb": version("cocotb")})


def _volume(interface: Interface, codes: NDArray[np.int64], expected: NDArray[np.int64], settings: Settings, progress: Progress | None
            ) -> tuple[BatchResult | None, str | None]:
    """All images through the batch runner; what came out, and what is wrong with it."""
    try:
        found = run_batch(interface, codes, jobs=settings.jobs, cache=settings.cache, idle_limit=settings.patience, progress=progress,
                          stages=True)
    except MismatchError as error:
        return None, f"batch: {error}"
    difference = first_difference(expected, found.outputs, interface.stages[-1].node)
    return found, f"batch: {difference}" if difference else None


def _behaviour(interface: Interface, network: Network, codes: NDArray[np.int64], tools: Tools, settings: Settings,
               progress: Progress | None) -> tuple[tuple[str, ...], Report, str | None]:
    """Some images through cocotb: names of the tests, what was measured, and what is wrong."""
    maps = golden.run(network, codes)
    layers = {f"node{node}": values for node, values in enumerate(maps) if settings.layers}
    with tempfile.TemporaryDirectory(prefix="bwnhw-") as scratch:
        data = Path(scratch) / "data.npz"
        np.savez(data, allow_pickle=False, input=codes, output=maps[-1], **layers)
        case = Case(str(interface.verilog.parent), str(data), "", "", min(FEW, len(codes)), settings.layers, settings.patience,
                    settings.seed)
        try:
            tests, report = run_bench(case, tools, settings.cache, waves=settings.waves, jobs=settings.jobs, progress=progress)
        except MismatchError as error:
            return (), Report((), (), {}), f"cocotb: {error}"
    return tests, report, None


def disagreement(batch: BatchResult | None, report: Report) -> str | None:
    """The two ways to drive the same Verilog must find the same cycles, as far as the batch runner's first run goes."""
    if batch is None or not report.last_output:
        return None
    both = min([len(report.last_output), *batch.starts[1:2]])
    batched = tuple(batch.last_output[:both].tolist())
    if batched == report.last_output[:both]:
        return None
    return f"cycles of the last outputs: {list(report.last_output[:both])[:10]} in cocotb, {list(batched)[:10]} in the batch runner"


def _interval(last: tuple[int, ...]) -> int | None:
    return last[-1] - last[-2] if len(last) > 1 else None
