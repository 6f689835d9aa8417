"""What the arrays do, cycle by cycle, in a network that ships: the bottleneck never idles, and it shows where one does."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bwnhw import zoo
from bwnhw.design import design
from bwnhw.lanes import valid_lanes
from bwnhw.lower import lower
from bwnhw.network import Network
from bwnhw.onnx_read import load
from bwnhw.plan import Engine, Plan, from_json
from bwnhw.rtl.generate import generate
from bwnhw.sim.batch import Usage, run_batch
from bwnhw.sim.interface import Interface, read_interface
from bwnhw.trace import STEADY, Trace

PLAN = Path(__file__).parents[1] / "data" / "plans" / "digits-conv-middle.json"
IMAGES = 5


@pytest.fixture(scope="module")
def network() -> Network:
    return lower(load(zoo.find("digits-conv")))


@pytest.fixture(scope="module")
def interface(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Interface:
    folder = tmp_path_factory.mktemp("usage") / "digits"
    return read_interface(generate(network, from_json(PLAN.read_text()), b"", folder, "digits").folder)


def used(interface: Interface, codes: NDArray[np.int64], cache: Path, trace: Trace = STEADY) -> dict[str, Usage]:
    return {array.name: array for array in run_batch(interface, codes, cache=cache, trace=trace, stages=True).usage}


@pytest.mark.slow
def test_the_bottleneck_never_idles(network: Network, interface: Interface, cache: Path) -> None:
    codes = np.random.default_rng(1).integers(0, 32, (IMAGES, 1, 8, 8))
    arrays = used(interface, codes, cache)
    assert list(arrays) == ["s0_conv", "s1_conv", "s3_conv", "s5_dense"]
    for stage in design(network.topology, from_json(PLAN.read_text())).stages:
        if stage.array and stage.window:
            beats = len(stage.window.geometry.need) * stage.window.groups * stage.window.group_beats
            assert arrays[stage.name].busy == IMAGES * beats
    bottleneck = arrays["s1_conv"]
    assert (bottleneck.starved, bottleneck.blocked, bottleneck.utilisation) == (0, 0, 1.0)
    assert arrays["s0_conv"].blocked and not arrays["s0_conv"].starved  # in front of it
    assert arrays["s3_conv"].starved and not arrays["s3_conv"].blocked  # behind it
    total = run_batch(interface, codes, cache=cache).last_output[-1] + 1
    assert {sum((array.busy, array.starved, array.blocked, array.fill)) for array in arrays.values()} == {total}

    slow_source = used(interface, codes, cache, Trace(source=(True, *[False] * 63)))["s1_conv"]
    assert slow_source.starved > 0 and slow_source.busy == bottleneck.busy and slow_source.utilisation < 1
    many = np.concatenate([codes] * 4)  # the buffers behind it hold a few images before a slow sink is felt
    slow_sink = used(interface, many, cache, Trace(sink=(True, *[False] * 4095)))["s1_conv"]
    assert slow_sink.blocked > 0 and slow_sink.utilisation < 1


def test_valid_lanes(network: Network) -> None:
    lanes = valid_lanes(design(network.topology, from_json(PLAN.read_text())), network.topology)
    inside = (22 / 24) ** 2  # of a padded 3×3 kernel's taps over an 8×8 map
    assert lanes["s0_conv"] == pytest.approx(inside)
    assert lanes["s1_conv"] == pytest.approx(inside)
    assert lanes["s5_dense"] == 1
    uneven = Plan(((1, Engine(5, 1, 4)), (3, Engine(7, 5, 2)), (6, Engine(9, 10, 4)), (9, Engine(3, 7, 3))))
    lanes = valid_lanes(design(network.topology, uneven), network.topology)
    assert lanes["s0_conv"] == pytest.approx(inside * 16 / 20 * 9 / 12)  # rows, taps
    assert lanes["s5_dense"] == pytest.approx(10 / 12 * 4 / 6 * 32 / 35)  # rows, taps, channels
