"""The cocotb bench passes a right design and fails each planted fault with a message that says what and where."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bwnhw.errors import MismatchError
from bwnhw.sim.batch import run_batch
from bwnhw.sim.case import Case
from bwnhw.sim.interface import Interface
from bwnhw.sim.runner import run_bench
from bwnhw.sim.tools import find_tools

CODES = np.random.default_rng(1).integers(0, 8, (5, 4, 2, 3))
Dummy = Callable[[int], Interface]


def case(interface: Interface, folder: Path, layers: bool = False, seed: int = 1) -> Case:
    """A case over CODES with right expectations."""
    expected = (CODES >= 3).astype(np.int64)
    np.savez(folder / "data.npz", input=CODES, output=expected, node1=expected)
    return Case(str(interface.verilog.parent), str(folder / "data.npz"), "", "", 3, layers, 500, seed)


def test_right_design_passes(dummy: Dummy, cache: Path, tmp_path: Path) -> None:
    interface = dummy(0)
    tests, report = run_bench(case(interface, tmp_path, layers=True), find_tools(), cache)
    assert len(tests) == 7
    batch = run_batch(interface, CODES, cache=cache)
    assert report.first_output == tuple(batch.first_output.tolist())
    assert report.last_output == tuple(batch.last_output.tolist())
    assert report.stages == {"s0": report.last_output}


@pytest.mark.parametrize(("bug", "layers", "message"), [
    (1, False, r"m_axis: payload or last changed while stalled, from .* to .* in cycle \d+, beat \d+$"),
    (2, False, r"m_axis: valid fell before ready rose in cycle \d+, beat \d+$"),
    (3, False, r"m_axis: tlast is 1 on image 0, beat \d+ of 12$"),
    (4, False, r"stuck: image 4, output beat 11 of 12 never came"),
    (5, False, r"output: node 1, image 1, pixel \(0, 2\), channel 0: expected \d, found \d \(1 elements differ\)$"),
    (6, False, r"stuck: image 2, output beat 7 of 12 never came: no handshake in \d+ cycles, after 31 input beats had been taken$"),
    (7, False, r"misplaced_last: m_axis: tlast is 0 on image 0, beat 11 of 12"),
    (8, False, r"m_axis_tvalid is high in reset without any input$"),
    (9, False, r"frame_error stays low though tlast was 1 on beat 0 of 12$"),
    (10, True, r"s0: node 1, image 0, pixel \(0, 2\), channel 0: expected \d, found \d \(1 elements differ\)$"),
    (11, False, r"m_axis: tlast is "),
])
def test_planted_faults_fail(dummy: Dummy, cache: Path, tmp_path: Path, bug: int, layers: bool, message: str) -> None:
    with pytest.raises(MismatchError, match=message):
        run_bench(case(dummy(bug), tmp_path, layers), find_tools(), cache)
