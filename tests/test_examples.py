"""Every example runs, in a folder of its own, and prints what it promises; documents name only what exists."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bwnhw import cli, zoo

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


def blocks(path: Path) -> list[tuple[str, str]]:
    """(tag, code) of a document's Python blocks."""
    return re.findall(r"^```python *(\w*)\n(.*?)^```", path.read_text(), re.S | re.M)


@pytest.mark.parametrize("tag", [
    "onnx", pytest.param("torch", marks=pytest.mark.train), pytest.param("brevitas", marks=pytest.mark.train)])
def test_bring_your_model(tag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each way of the document gives a file that is lowered exactly: float graph and integers agree on random images."""
    code = dict(blocks(ROOT / "docs" / "bring-your-model.md"))[tag]
    (tmp_path / "way.py").write_text(code)
    run(tmp_path, "way.py")
    model = next(tmp_path.glob("*.onnx"))
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (20, 1, 8, 8), np.uint8)
    real = random.standard_normal((20, 64) if tag == "onnx" else (20, 1, 8, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", pixels if tag == "torch" else real)
    assert cli.main(["inspect", str(model), "--images", str(tmp_path / "x.npy")]) == 0, capsys.readouterr().err
    assert "Float graph and integer network, 20 images" in capsys.readouterr().out
    assert cli.main(["estimate", str(model)]) == 0


@pytest.mark.slow
def test_tutorial(tmp_path: Path) -> None:
    """Its commands, one after the other in one folder, then its Python."""
    tutorial = ROOT / "docs" / "tutorial.md"
    commands = re.findall(r"^```sh\n(bwnhw .*?)\n```", tutorial.read_text(), re.M)
    assert len(commands) == 6
    for command in commands:
        run(tmp_path, "-m", "bwnhw.cli", *command.replace("ZOO", str(zoo.folder())).split()[1:])
    ((_, code),) = blocks(tutorial)
    assert run(tmp_path, "-c", code).strip().endswith("True")


@pytest.mark.parametrize(("document", "arguments"), [
    ("README.md", ["estimate", "digits-conv", "--interval", "256"]),
    ("docs/tutorial.md", ["estimate", "digits-conv", "--interval", "2000", "--clock", "100"])])
def test_output_in_documents_is_what_is_printed(document: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0
    shown = [line.strip() for line in (ROOT / document).read_text().splitlines()]
    missing = [line for line in capsys.readouterr().out.splitlines() if line.strip() and line.strip() not in shown]
    assert not missing, "run: python docs/refresh.py"


@pytest.mark.parametrize("name", zoo.names())
def test_accuracies_in_the_readme_are_the_cards(name: str) -> None:
    card = zoo.card(name)
    assert card is not None
    row = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| `{name}` |"))
    assert row.endswith(f"| {100 * card['accuracy_integer']:.2f} % |")
