"""Write what the commands print today into README.md and tutorial.md, and the accuracies of the networks that ship.

    python docs/refresh.py

`tests/test_examples.py` holds the documents to it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from bwnhw import zoo
from bwnhw.files import write_text

ROOT = Path(__file__).parents[1]


def printed(*arguments: str) -> str:
    """A command's output as an indented block; run in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-Im", "bwnhw.cli", *arguments]
        said = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
    return "\n".join(f"    {line.rstrip()}" if line.strip() else "" for line in said.strip("\n").splitlines()) + "\n"


def between(document: Path, start: str, end: str, text: str) -> None:
    """Replace what stands between two texts that stay."""
    before, rest = document.read_text(encoding="utf-8").split(start, 1)
    write_text(document, before + start + text + end + rest.split(end, 1)[1])


def accuracies(readme: str) -> str:
    """The rows of the table of networks, their last cell from the cards."""
    rows = [line for line in readme.splitlines() if line.startswith("| `") and line.split("`")[1] in zoo.names()]
    cells = [(line.rsplit("|", 2)[0], zoo.card(line.split("`")[1]) or {}) for line in rows]
    return "".join(f"{kept}| {100 * card['accuracy_integer']:.2f} % |\n" for kept, card in cells)


def main() -> None:
    """Refresh both documents."""
    readme, tutorial = ROOT / "README.md", ROOT / "docs" / "tutorial.md"
    between(readme, "## What `make run` prints\n\n", "\nThis is the network", printed("run"))
    between(readme, "| name | what | test accuracy, integers |\n| --- | --- | --- |\n", "\n## Install",
            accuracies(readme.read_text(encoding="utf-8")))
    between(tutorial, "--interval 2000 --clock 100\n```\n\n", "\nAn *interval*",
            printed("estimate", "digits-conv", "--interval", "2000", "--clock", "100"))


if __name__ == "__main__":
    main()
