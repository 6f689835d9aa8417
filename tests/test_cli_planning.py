"""`bwnhw plan` and `bwnhw estimate`: wishes, devices, traces, and one sentence for what can't be."""

import json
from pathlib import Path

import pytest

from bwnhw import cli
from bwnhw.plan import from_json

MODEL = "digits-conv"


def call(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command in this process: status, stdout, stderr."""
    status = cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_plan_is_written_and_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, result = tmp_path / "p.json", tmp_path / "r.json"
    status, out, _ = call(capsys, "plan", MODEL, "--fps", "50000", "--clock", "100", "--device", "xc7a35t", "-o", plan, "--json", result)
    assert status == 0 and "Foldings" in out and "On xc7a35t (estimated)" in out
    planned = json.loads(result.read_text())
    assert planned["interval_cycles"]["estimated"] <= 2000
    assert planned["device"]["fits"] and planned["device"]["kind"] == "estimated"
    assert from_json(plan.read_text()).clock_mhz == 100
    assert call(capsys, "estimate", MODEL, "--plan", plan, "--json", result)[0] == 0
    assert json.loads(result.read_text())["luts"] == planned["luts"]


def test_what_does_not_fit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "p.json"
    assert call(capsys, "plan", MODEL, "--interval", "64", "-o", plan, "--family", "ecp5")[0] == 0
    status, out, err = call(capsys, "estimate", MODEL, "--plan", plan, "--device", "ecp5-12")
    assert status == 1 and "no" in out
    assert err.startswith("bwnhw: ecp5-12: the design doesn't fit, it takes ") and "LUT of 12,096" in err and len(err.splitlines()) == 1


def test_an_ice40_is_planned_for_and_may_be_too_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "r.json"
    status, out, _ = call(capsys, "estimate", MODEL, "--device", "ice40hx8k", "--json", result)
    found = json.loads(result.read_text())
    assert status == 0 and "4-kbit block RAM" in out
    assert found["luts"]["family"] == "ice40" and found["device"]["fits"] and 0 < found["luts"]["estimated"] <= 7680
    assert found["brams"]["estimated"] <= 32
    plan = tmp_path / "p.json"
    assert call(capsys, "plan", MODEL, "--interval", "128", "-o", plan, "--family", "ice40")[0] == 0
    status, _, err = call(capsys, "estimate", MODEL, "--plan", plan, "--device", "ice40up5k")
    assert status == 1 and "ice40up5k: the design doesn't fit" in err and "LUT of 5,280" in err


def test_a_trace_slows_and_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, result = tmp_path / "t.json", tmp_path / "r.json"
    trace.write_text(json.dumps({"format": "bwnhw-trace", "version": 1, "sink": "1" + "0" * 499}))
    status, out, _ = call(capsys, "estimate", MODEL, "--interval", "1000", "--trace", trace, "--images", "5", "--json", result)
    found = json.loads(result.read_text())
    assert status == 0 and "Output cycles under the trace" in out
    assert found["trace"]["interval_cycles"] >= 5000 > 1000 >= found["interval_cycles"]["estimated"]  # ten scores, one every 500 cycles
    assert [len(layer["first"]) for layer in found["trace"]["layers"]] == [5] * len(found["layers"])


@pytest.mark.parametrize(("arguments", "message"), [
    (["--plan", "x.json", "--luts", "100"], "--luts: expected either a plan or wishes"),
    (["--quickest", "--interval", "100"], "--quickest: expected either the least latency or a wanted rate"),
    (["--device", "zynq"], "--device: expected one of"),
    (["--device", "ecp5-25", "--family", "xc7"], "--family: expected ecp5, the family of ecp5-25, found xc7"),
    (["--fps", "1e9"], "--fps: expected at most 200,000,000 images per second"),
    (["--luts", "100"], "even the smallest plan doesn't fit into 100 LUTs"),
    (["--trace", "none.json"], "--trace: expected a file"),
])
def test_wishes_that_cannot_be_met(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, "estimate", MODEL, *arguments)
    assert status == 2
    assert message in err and len(err.splitlines()) == 1
