"""The batch runner: right values and cycles on a right design, a clear complaint on a wrong one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bwnhw.errors import BwnhwError, InputError, MismatchError, ToolError
from bwnhw.sim.batch import Traffic, run_batch
from bwnhw.sim.interface import Interface, read_interface
from bwnhw.trace import Trace

CODES = np.random.default_rng(1).integers(0, 8, (9, 4, 2, 3))
Dummy = Callable[[int], Interface]


@pytest.mark.parametrize("jobs", [1, 2])
def test_values_and_cycles(dummy: Dummy, cache: Path, jobs: int) -> None:
    result = run_batch(dummy(0), CODES, jobs=jobs, cache=cache)
    np.testing.assert_array_equal(result.outputs, CODES >= 3)
    assert len(result.starts) == jobs
    for start, stop in zip(result.starts, [*result.starts[1:], len(CODES)], strict=True):
        np.testing.assert_array_equal(result.first_output[start:stop], 1 + 12 * np.arange(stop - start))
        np.testing.assert_array_equal(result.last_output[start:stop], 12 + 12 * np.arange(stop - start))


@pytest.mark.parametrize("seed", range(1, 4))
def test_gaps_and_random_registers_change_no_value(dummy: Dummy, cache: Path, seed: int) -> None:
    result = run_batch(dummy(0), CODES, cache=cache, traffic=Traffic(seed, 100, 100))
    np.testing.assert_array_equal(result.outputs, CODES >= 3)
    assert result.last_output[-1] > 12 * len(CODES)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_trace_is_replayed_and_stages_are_seen(dummy: Dummy, cache: Path, jobs: int) -> None:
    """The dummy hands a beat on in the cycle after it came: beat n comes in cycle 2n, and leaves in the next cycle divisible by 3."""
    result = run_batch(dummy(0), CODES, jobs=jobs, cache=cache, trace=Trace((True, False), (True, False, False)), stages=True)
    np.testing.assert_array_equal(result.outputs, CODES >= 3)
    for start, stop in zip(result.starts, [*result.starts[1:], len(CODES)], strict=True):
        beats = 3 + 3 * np.arange(12 * (stop - start)).reshape(-1, 12)
        np.testing.assert_array_equal(result.first_output[start:stop], beats[:, 0])
        np.testing.assert_array_equal(result.last_output[start:stop], beats[:, -1])
        np.testing.assert_array_equal(result.stage_last[0, start:stop], result.last_output[start:stop])
        np.testing.assert_array_equal(result.stage_first[0, start:stop], result.first_output[start:stop])


def test_dead_traces_and_absent_signals_are_refused(dummy: Dummy, cache: Path) -> None:
    interface = dummy(0)
    with pytest.raises(InputError, match="sink that is ready"):
        run_batch(interface, CODES, cache=cache, trace=Trace(sink=(False, False)))
    stage = replace(interface.stages[0], valid="absent")
    with pytest.raises(BwnhwError):
        run_batch(replace(interface, stages=(stage,)), CODES, cache=cache, stages=True)


def test_a_folder_named_from_here(dummy: Dummy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dummy(0)
    monkeypatch.chdir(tmp_path)
    assert (run_batch(read_interface(Path("bug0")), CODES, cache=Path("cache")).outputs == (CODES >= 3)).all()


def test_wrong_value_shows(dummy: Dummy, cache: Path) -> None:
    assert (run_batch(dummy(5), CODES, cache=cache).outputs != (CODES >= 3)).sum() == 1


@pytest.mark.parametrize(("bug", "message"), [
    (3, r"^dummy: tlast was wrong on 1 of 108 output beats$"),
    (4, r"^dummy: image 8, output beat 11 of 12 never came: no handshake in 1000 cycles, after 108 of 108 input beats had been taken$"),
    (6, r"^dummy: image 2, output beat 7 of 12 never came: no handshake in 1000 cycles, after 31 of 108 input beats had been taken$"),
])
def test_faults_are_named(dummy: Dummy, cache: Path, bug: int, message: str) -> None:
    with pytest.raises(MismatchError, match=message):
        run_batch(dummy(bug), CODES, cache=cache, idle_limit=1000)


def test_broken_verilog_is_one_sentence(dummy: Dummy, cache: Path) -> None:
    interface = dummy(0)
    interface.verilog.write_text("module dummy(; endmodule\n")
    with pytest.raises(ToolError, match=r"^Verilator failed with status \d+: %Error"):
        run_batch(interface, CODES, cache=cache)
