"""The least depths in Verilator: the interval is kept with them, and not with any one lowered by one."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bwnhw.cycles import cycles
from bwnhw.depths import least_depths
from bwnhw.design import design
from bwnhw.network import Ints, Network
from bwnhw.plan import Engine, Plan
from bwnhw.rtl.generate import generate
from bwnhw.sim.batch import run_batch
from bwnhw.sim.interface import read_interface

sys.path.insert(0, str(Path(__file__).parents[1] / "rtl"))

from networks import Builder  # noqa: E402  # the path above is that of the other room

IMAGES = 40
FILLED = 8  # images until the pipeline runs evenly


def network() -> tuple[Network, Plan]:
    """Two dense layers of one beat a cycle in front of one of several, whose FIFOs and buffers cover a long way round."""
    b = Builder(3, Ints(6, 1, 1, 0, 1))
    b.conv(6, Engine(3, 6, lanes=3))
    b.threshold()
    b.conv(4, Engine(4, 2, lanes=2))
    return b.done(3)


def measured_interval(made: Network, plan: Plan, folder: Path, cache: Path) -> float:
    """Cycles from image to image in Verilator, on average: images may take turns at different ones."""
    generate(made, plan, b"model", folder, "dut")
    source = made.topology.nodes[0].out
    codes = np.random.default_rng(1).integers(source.lo, source.hi + 1, (IMAGES, *source.shape))
    found = run_batch(read_interface(folder), codes, cache=cache, level=0, idle_limit=2000)
    return float(found.last_output[-1] - found.last_output[FILLED]) / (IMAGES - 1 - FILLED)


@pytest.mark.slow
def test_lowered_by_one_is_slower(tmp_path: Path, cache: Path) -> None:
    made, plan = network()
    least = least_depths(made.topology, plan)
    interval = cycles(design(made.topology, plan)).interval
    assert measured_interval(made, least, tmp_path / "least", cache) == interval
    deep = [(node, depth) for node, depth in least.fifos if depth > 1]
    assert deep
    for node, depth in deep:  # a FIFO of depth 1 can't be lowered: without a place nothing would ever pass
        lower = replace(least, fifos=tuple((n, d - (n == node)) for n, d in least.fifos))
        assert measured_interval(made, lower, tmp_path / f"fifo{node}", cache) > interval, (node, depth)
