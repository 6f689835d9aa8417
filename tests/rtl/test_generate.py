"""The generated folder: complete, movable, checked when read, lint-clean, and equal to the golden model under Verilator."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import conv_network, dense_network, mixed_network

from bwnhw.cycles import cycles
from bwnhw.design import design
from bwnhw.errors import InputError, PlanError, ToolError
from bwnhw.golden import run
from bwnhw.network import Meaning
from bwnhw.rtl import emit as emission
from bwnhw.rtl import generate as generation
from bwnhw.rtl.generate import Generated, generate, read
from bwnhw.sim.batch import run_batch
from bwnhw.sim.interface import read_interface
from bwnhw.sim.tools import find_tools


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(*dense_network(), b"a model", tmp_path_factory.mktemp("made") / "net", "net")


@pytest.fixture
def folder(made: Generated, tmp_path: Path) -> Path:
    """A copy of the generated folder, elsewhere."""
    return Path(shutil.copytree(made.folder, tmp_path / "moved"))


def test_files(made: Generated) -> None:
    names = {"net.v", "net.json", "model.onnx", "plan.json", "net.f", "net_template.v", "lint.vlt"}
    assert {path.name for path in made.folder.iterdir()} == names
    assert made.model.read_bytes() == b"a model"
    assert {path.name for path in made.folder.parent.iterdir()} == {"net"}
    assert str(made.folder) not in made.verilog.read_text() + json.dumps(dict(made.sidecar))


def test_a_moved_folder_reads_the_same(made: Generated, folder: Path) -> None:
    assert read(folder) == replace(made, folder=folder)


@pytest.mark.parametrize("name", ["net.v", "model.onnx", "plan.json"])
def test_a_changed_file_is_noticed(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(InputError, match=f"{name}: expected the file"):
        read(folder)
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"expected {name}"):
        read(folder)


def test_no_side_car_or_a_wrong_one(folder: Path) -> None:
    data = json.loads((folder / "net.json").read_text())
    for change in ({"version": 2}, {"top": "other"}, {"top": ["net"]}, {"sha256": None}):
        (folder / "net.json").write_text(json.dumps(data | change))
        with pytest.raises(InputError, match="expected a side-car of version 1"):
            read(folder)
    (folder / "net.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="found 0"):
        read(folder)


def test_what_is_replaced_and_what_is_not(folder: Path, tmp_path: Path) -> None:
    network, plan = dense_network()
    assert generate(network, plan, b"newer", folder, "other").prefix == "other"
    assert {path.suffix for path in folder.iterdir()} == {".v", ".json", ".onnx", ".f", ".vlt"}
    assert read(folder).prefix == "other"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="found other files"):
        generate(network, plan, b"", foreign, "net")
    assert (foreign / "thesis.tex").exists()
    generate(network, plan, b"", foreign, "net", force=True)
    assert not (foreign / "thesis.tex").exists()
    (tmp_path / "link").symlink_to(foreign)
    with pytest.raises(InputError):
        generate(network, plan, b"", tmp_path / "link", "net", force=True)


def test_nothing_is_left_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, plan = dense_network()
    with pytest.raises(InputError):
        generate(network, plan, b"", tmp_path / "out", "module")
    with pytest.raises(PlanError):
        generate(network, replace(plan, input_lanes=5), b"", tmp_path / "out", "net")

    def fails(*_: object) -> str:
        raise ToolError("Yosys stopped")

    monkeypatch.setattr(emission, "_verilog", fails)
    with pytest.raises(ToolError):
        generate(network, plan, b"", tmp_path / "out", "net")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.undo()
    monkeypatch.setattr(generation, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        generate(network, plan, b"", tmp_path / "out", "net")
    assert not list(tmp_path.iterdir())


def test_names_of_the_model_stay_in_the_side_car(made: Generated, tmp_path: Path) -> None:
    """Whatever a tensor is called, the Verilog is the same."""
    network, plan = dense_network()
    hostile = 'a;endmodule\n`include "/etc/passwd" $system \\ é'
    named = replace(network, meanings=tuple(Meaning(hostile, (), ()) for _ in network.meanings))
    again = generate(named, plan, b"a model", tmp_path / "net", "net")
    assert again.verilog.read_bytes() == made.verilog.read_bytes()
    assert again.sidecar["origins"]["0"] == hostile
    assert read(again.folder).sidecar == again.sidecar


def test_side_car_of_every_port(made: Generated) -> None:
    data = made.sidecar
    assert (data["format"], data["version"], data["top"], data["clock"], data["reset"]) == ("bwnhw-sidecar", 1, "net", "aclk", "aresetn")
    assert data["input"] == {"lanes": 6, "element_bits": 1, "tdata_bits": 8, "beats_per_image": 4, "signed": False, "shape": [24, 1, 1],
                             "codes": "raw", "scale": "1", "zero": "0", "rounding": None}
    assert data["output"]["kind"] == "scores" and data["output"]["signed"]
    assert [stage["name"] for stage in data["stages"]] == ["s0_dense", "s1_dense"]
    assert [stage["nodes"] for stage in data["stages"]] == [[1, 2], [3, 4]]


def lint(folder: Path, *files: str) -> str:
    tools = find_tools()
    done = subprocess.run([str(tools.verilator), "--lint-only", "-Wall", *files], cwd=folder, env=tools.environment(), capture_output=True,
                          text=True, check=False)
    return done.stderr


@pytest.mark.parametrize("make", [conv_network, mixed_network])
def test_lint_is_clean_with_the_waivers_alone(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # one of two functions
    generate(*make(), b"", tmp_path / "net", "net")
    assert lint(tmp_path / "net", "lint.vlt", "net.v", "--top-module", "net") == ""
    assert "%Warning-" in lint(tmp_path / "net", "net.v", "--top-module", "net")


def test_two_networks_fit_one_project(made: Generated, tmp_path: Path) -> None:
    other = generate(*dense_network(5), b"", tmp_path / "other", "other")
    ports = [f"{direction} wire [63:0] {name}" for direction, name in (("input", "i"), ("output", "o"))]
    both = "\n".join([f"module both({', '.join(ports)});"] + [
        f"  wire [{bits - 1}:0] {top}_data;\n"
        f"  {top} u_{top}(.aclk(i[0]), .aresetn(i[1]), .s_axis_tdata(i[15:8]), .s_axis_tvalid(i[2]), .s_axis_tready(o[{at}]),\n"
        f"    .s_axis_tlast(i[3]), .m_axis_tdata({top}_data), .m_axis_tvalid(o[{at + 1}]), .m_axis_tready(i[4]),\n"
        f"    .m_axis_tlast(o[{at + 2}]), .frame_error(o[{at + 3}]));\n"
        f"  assign o[{at + 4}] = ^{top}_data;"
        for at, (top, bits) in zip((0, 5), ((g.prefix, g.sidecar["output"]["tdata_bits"]) for g in (made, other)), strict=True)] + [
        "  assign o[63:10] = 0;", "  wire unused = &i[63:16] & &i[7:5];", "endmodule", ""])
    (tmp_path / "both.v").write_text(both)
    said = lint(tmp_path, "-Wno-UNUSEDSIGNAL", "-Wno-WIDTHEXPAND", str(made.folder / "lint.vlt"), "other/lint.vlt", "both.v",
                str(made.verilog), "other/other.v", "--top-module", "both")
    assert said == ""
    clash = generate(*dense_network(5), b"", tmp_path / "clash", "net")
    assert "Duplicate declaration" in lint(tmp_path, str(made.folder / "lint.vlt"), str(made.verilog), str(clash.verilog)) or \
        "MODDUP" in lint(tmp_path, str(made.folder / "lint.vlt"), str(made.verilog), str(clash.verilog))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [None, 1, 100])
def test_verilog_equals_golden_in_values_and_cycles(tmp_path: Path, depth: int | None) -> None:
    """The emitted text, not Amaranth's simulator: with the planned FIFOs, with the least, with ones in block RAM."""
    network, plan = conv_network() if depth is None else dense_network()
    if depth:
        plan = replace(plan, fifos=tuple((index, depth) for index in range(1, len(network.topology.nodes))))
    source = network.topology.nodes[0].out
    codes = np.random.default_rng(3).integers(source.lo, source.hi + 1, (20, *source.shape))
    result = run_batch(read_interface(generate(network, plan, b"", tmp_path / "net", "net").folder), codes, cache=tmp_path / "cache")
    assert np.array_equal(result.outputs, run(network, codes)[-1])
    estimated = cycles(design(network.topology, plan), images=20)
    assert result.last_output.tolist() == list(estimated.last)
