"""A real generated design passes; a broken weight, threshold and expectation each fail with the first difference named."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from random_foldings import draw_plan
from random_networks import Knobs, draw_graph, draw_images

from bwnhw.cycles import cycles
from bwnhw.design import design
from bwnhw.errors import InputError
from bwnhw.lower import lower
from bwnhw.network import Conv, ConvParams, Network, NodeParams, Threshold, ThresholdParams
from bwnhw.onnx_write import to_bytes
from bwnhw.plan import Plan
from bwnhw.rtl.generate import generate
from bwnhw.sim.batch import BatchResult, Traffic, run_batch
from bwnhw.sim.case import Report
from bwnhw.sim.interface import read_interface
from bwnhw.sim.verify import Settings, SimResult, disagreement, simulate, verify

KNOBS = Knobs(layers=(2, 2), size=(4, 4), channels=(3, 4), kernels=(2, 3), inputs=("bipolar",), activations=("bipolar",), ends=("bias",),
              weights=("bipolar",), padded=1.0, dense=0.0, pool_before=0.0, pool_after=0.0)


@dataclass(frozen=True, eq=False)
class Sample:
    """A small padded W1A1 network with its model file, plan and images."""

    model: bytes
    network: Network
    plan: Plan
    images: NDArray[np.float32]


@pytest.fixture(scope="module")
def sample() -> Sample:
    rng = np.random.default_rng(5)
    graph = draw_graph(rng, KNOBS).graph
    network = lower(graph)
    return Sample(to_bytes(graph), network, draw_plan(rng, network.topology, 300), draw_images(rng, graph, 8))


@pytest.fixture(scope="module")
def folder(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, generated."""
    return generate(sample.network, sample.plan, sample.model, tmp_path_factory.mktemp("made") / "sound", "sample").folder


def broken(network: Network, kind: type, change: Callable[[NodeParams], NodeParams]) -> Network:
    """The network with the values of its first node of a kind changed."""
    index = next(index for index, node in enumerate(network.topology.nodes) if isinstance(node, kind))
    return replace(network, params=tuple(change(values) if index == number else values for number, values in enumerate(network.params)))


def other_weight(values: NodeParams) -> NodeParams:
    assert isinstance(values, ConvParams)
    weights = values.weights.copy()
    weights[0, 0, 0, 0] *= -1
    return replace(values, weights=weights)


def other_threshold(values: NodeParams) -> NodeParams:
    assert isinstance(values, ThresholdParams)
    return replace(values, thresholds=values.thresholds + np.array([[2], *[[0]] * (len(values.thresholds) - 1)]))


def run(sample: Sample, folder: Path, cache: Path, layers: bool = True, bench_images: int = 5) -> SimResult:
    return simulate(folder, sample.images, layers=layers, bench_images=bench_images, cache=cache)


def test_a_sound_design_passes(sample: Sample, folder: Path, cache: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    seen: list[tuple[int, int]] = []
    result = simulate(moved, sample.images, layers=True, bench_images=5, cache=cache, progress=lambda *at: seen.append(at))
    assert result.passed and result.failure is None and result.mismatches == 0
    assert (result.images, result.bench_images, len(result.tests)) == (8, 5, 7)
    estimated = cycles(design(sample.network.topology, sample.plan))
    assert (result.latency, result.interval) == (estimated.latency, estimated.interval)
    assert [stage.latency for stage in result.stages] == [stage.latency for stage in estimated.stages]
    assert seen and all(0 <= done <= total == 13 for done, total in seen)


def test_random_codes_when_there_are_no_images(folder: Path, cache: Path) -> None:
    first, second = (simulate(folder, count=3, seed=seed, cache=cache) for seed in (1, 1))
    assert first.passed and first.images == 3
    np.testing.assert_array_equal(first.outputs, second.outputs)


@pytest.mark.parametrize(("kind", "change"), [(Conv, other_weight), (Threshold, other_threshold)])
def test_a_broken_design_fails(sample: Sample, cache: Path, tmp_path: Path, kind: type, change: Callable[[NodeParams], NodeParams]
                               ) -> None:
    generate(broken(sample.network, kind, change), sample.plan, sample.model, tmp_path / "broken", "sample")
    result = run(sample, tmp_path / "broken", cache)
    assert not result.passed and result.mismatches
    assert result.failure and result.failure.startswith("cocotb: values_and_cycles: s0_conv: node 2, image 0, pixel (")
    blind = run(sample, tmp_path / "broken", cache, layers=False)
    assert blind.failure and blind.failure.startswith(f"cocotb: values_and_cycles: output: node {len(sample.network.params) - 1}, image 0")


def test_a_broken_expectation_fails(sample: Sample, folder: Path, cache: Path) -> None:
    codes = (np.asarray(sample.images).reshape(8, *sample.network.topology.nodes[0].out.shape) > 0).astype(np.int64)
    expectation = broken(sample.network, Threshold, other_threshold)
    result = verify(read_interface(folder), expectation, codes, Settings(5, True, None, 1, 1, cache, 10_000))
    assert not result.passed and result.mismatches
    assert result.failure and "s0_conv: node 2, image 0, pixel (" in result.failure


def test_cycles_that_disagree_are_a_failure() -> None:
    none = np.zeros((0, 3), np.int64)
    batch = BatchResult(np.zeros((3, 1, 1, 1), np.int64), np.array([5, 9, 2]), np.array([7, 11, 4]), none, none, (0, 2), (), {})
    assert disagreement(batch, Report((5, 9, 13), (7, 11, 15), {})) is None  # the third image starts a run of its own
    assert disagreement(batch, Report((5, 9), (7, 12), {})) == "cycles of the last outputs: [7, 12] in cocotb, [7, 11] in the batch runner"


def test_registers_start_at_random_and_it_does_not_matter(sample: Sample, folder: Path, cache: Path) -> None:
    source = sample.network.topology.nodes[0].out
    codes = np.random.default_rng(0).integers(0, source.hi + 1, (4, *source.shape))
    right = run_batch(read_interface(folder), codes, cache=cache)
    for seed in range(1, 21):
        found = run_batch(read_interface(folder), codes, cache=cache, traffic=Traffic(seed))
        np.testing.assert_array_equal(found.outputs, right.outputs)
        np.testing.assert_array_equal(found.last_output, right.last_output)


def test_waves_are_written(sample: Sample, folder: Path, cache: Path, tmp_path: Path) -> None:
    result = simulate(folder, sample.images[:1], waves=tmp_path / "x.vcd", cache=cache)
    assert result.passed
    text = (tmp_path / "x.vcd").read_text()
    assert text.startswith("$version") and "s_axis_tdata" in text and text.count("\n#") > 100


def test_a_changed_file_is_not_simulated(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    verilog = tmp_path / "copy" / "sample.v"
    verilog.write_text(verilog.read_text() + "\n")
    with pytest.raises(InputError, match=r"^sample\.v: expected the file that the side-car was written with, found another"):
        simulate(tmp_path / "copy")


def test_no_images_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match=r"^images: expected at least one, found none$"):
        simulate(folder, np.zeros((0, 4), np.float32).reshape(0, *simulate_shape(folder)))


def simulate_shape(folder: Path) -> tuple[int, int, int]:
    return read_interface(folder).source.shape
