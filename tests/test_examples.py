"""Every example runs, in a folder of its own, and prints what it promises; documents name only what exists."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bwnhw import cli

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SAID = {
    "estimate.py": r"interval +latency +images/s",
    "generate.py": r"example\.v  [\d,]+ bytes",
    "simulate.py": r"360 images, 0 mismatches, latency \d+ cycles",
}
NOTEBOOK = """
import sys, nbformat
from nbclient import NotebookClient
notebook = NotebookClient(nbformat.read(sys.argv[1], 4), timeout=900, kernel_name="python3").execute()
print(*(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])))
"""


def run(folder: Path, *arguments: str | Path) -> str:
    """Run Python in a folder; what it printed."""
    done = subprocess.run([sys.executable, "-I", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_script(name: str, tmp_path: Path) -> None:
    assert re.search(SAID[name], run(tmp_path, EXAMPLES / name))


@pytest.mark.slow
def test_notebook(tmp_path: Path) -> None:
    said = run(tmp_path, "-c", NOTEBOOK, EXAMPLES / "tour.ipynb")
    assert "360 images, 0 mismatches" in said
    assert "float graph and integer network equal: True" in said


def test_notebook_is_committed_without_outputs() -> None:
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text())["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_documents_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_parse(path: Path) -> None:
    """Every `bwnhw ...` line of a code block is one that the command line accepts."""
    blocks = re.findall(r"^( {4}|```(?:sh|console)\n)(.*?)(?=\n\n|```|\Z)", path.read_text(), re.S | re.M)
    lines = [line.strip().removeprefix("$ ") for _, block in blocks for line in block.splitlines()]
    for line in lines:
        if line.startswith("bwnhw ") and "..." not in line:
            cli.parser().parse_args(line.split("  #")[0].split()[1:])


@pytest.mark.parametrize("name", [command.__name__.rsplit(".", 1)[1] for command in cli.COMMANDS])
def test_help_examples_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    example = capsys.readouterr().out.split("example:\n")[1].strip()
    cli.parser().parse_args(example.split()[1:])
