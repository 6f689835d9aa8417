"""A sample of the campaign of random networks, and the proof that it would see a wrong value or cycle."""

from dataclasses import replace
from pathlib import Path

import campaign
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_foldings import draw_plan
from random_networks import draw_graph, draw_images

from bwnhw import golden
from bwnhw.codes import encode
from bwnhw.cycles import cycles
from bwnhw.errors import MismatchError
from bwnhw.lower import lower
from bwnhw.onnx_write import to_bytes


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), index=st.integers(0, len(campaign.KINDS) - 1))
def test_random_networks(cache: Path, seed: int, index: int) -> None:
    row = campaign.one(index, seed, cache)
    assert (row["seed"], row["index"]) == (seed, index)  # by which a campaign that is resumed knows it
    assert row["error"] is None, row


def test_a_wrong_value_and_a_wrong_cycle_are_seen(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    graph = draw_graph(rng, campaign.KINDS["padded bipolar"]).graph
    network = lower(graph)
    plan = draw_plan(rng, network.topology)
    codes = encode(network, draw_images(rng, graph, 3))
    expected = golden.outputs(network, codes)

    def check(expected: np.ndarray) -> None:
        campaign.check_hardware(network, plan, codes, expected, to_bytes(graph), cache, tmp_path / "dut", 1)

    check(expected)
    wrong = expected.copy()
    wrong[1, 0, 0, 0] += 1
    with pytest.raises(MismatchError, match=r"^Verilator, .*image 1, pixel \(0, 0\), channel 0: expected -?\d+, found -?\d+"):
        check(wrong)

    def late(*args: object) -> object:
        found = cycles(*args)  # type: ignore[arg-type]  # passed on
        last = found.stages[-1]
        return replace(found, stages=(*found.stages[:-1], replace(last, last=(*last.last[:-1], last.last[-1] + 1))))

    monkeypatch.setattr(campaign, "cycles", late)
    with pytest.raises(MismatchError, match=r"^the design: cycles of the last outputs under "):
        check(expected)
