"""What the commands print: tables on stdout, progress on stderr while it is a terminal, and JSON files."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bwnhw.files import write_text

Update = Callable[[int, int], None]


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; numbers stand to the right with thousands apart, None is a dash. Texts are printed as they are."""
    from rich.table import Table
    from rich.text import Text

    body = [list(row) for row in rows]
    if title:
        line(f"\n{title}")
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, name in enumerate(columns):
        texts = any(isinstance(row[number], str) for row in body)
        drawn.add_column(Text(name), justify="left" if texts else "right", no_wrap=not texts)
    for row in body:
        drawn.add_row(*(Text(show(value)) for value in row))
    _out().print(drawn)


def line(text: str) -> None:
    """Print one line."""
    from rich.text import Text

    _out().print(Text(text), soft_wrap=True)


def show(value: object) -> str:
    """A value as a table has it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


@contextmanager
def progress(what: str) -> Iterator[Update]:
    """A bar on stderr while the block runs; the function given takes (done, total). Silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def write_json(path: Path | None, result: dict[str, Any]) -> None:
    """Write a result where `--json` asked for it."""
    if path is not None:
        write_text(path, json.dumps(result, indent=2, allow_nan=False) + "\n")


def _out() -> Any:
    from rich.console import Console

    # Where nobody sizes a terminal, wide enough that no row of ours is folded.
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, emoji=False)
