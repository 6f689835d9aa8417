"""What the bench is told (`Case`) and what it tells (`Report`), as files that a simulator in another process reads and writes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Case:
    """One bench run on the design in `directory`.

    `data` is an .npz with `input` and `output` (N, C, H, W) and, where `layers` asks for the stages' streams, `node<i>` likewise;
    `few` images of it serve the tests with pauses and resets, all of them the one without. A test is stuck after
    `idle_limit` cycles without a handshake on either port. `seed` rules every random choice. The bench writes what it measured to
    `report`, and to `progress` one byte per image that the test without pauses has finished.
    """

    directory: str
    data: str
    report: str
    progress: str
    few: int
    layers: bool
    idle_limit: int
    seed: int


@dataclass(frozen=True)
class Difference:
    """The first element that differs: topology node, image, pixel (y, x), channel, both values; `count` elements differ in all."""

    node: int
    image: int
    pixel: tuple[int, int]
    channel: int
    expected: int
    found: int
    count: int

    def __str__(self) -> str:
        return (f"node {self.node}, image {self.image}, pixel {self.pixel}, channel {self.channel}: expected {self.expected}, "
                f"found {self.found} ({self.count} elements differ)")


@dataclass(frozen=True)
class Report:
    """What the run without pauses measured, in cycles since the first input handshake, one number per image.

    `first_output` and `last_output`: the image's first and last beat on m_axis; `stages`: by name, the last beat that left the stage
    (empty unless the layers were looked at).
    """

    first_output: tuple[int, ...]
    last_output: tuple[int, ...]
    stages: dict[str, tuple[int, ...]]


def first_difference(expected: NDArray[np.integer], found: NDArray[np.integer], node: int) -> Difference | None:
    """Compare (N, C, H, W) arrays in the order in which values travel: image, pixel, channel."""
    wrong = expected != found
    if not wrong.any():
        return None
    image, y, x, channel = (int(index) for index in np.argwhere(wrong.transpose(0, 2, 3, 1))[0])
    place = image, channel, y, x
    return Difference(node, image, (y, x), channel, int(expected[place]), int(found[place]), int(wrong.sum()))


def write_case(case: Case, path: Path) -> None:
    """Write a case as JSON."""
    path.write_text(json.dumps(asdict(case), indent=1), encoding="utf-8")


def read_case(path: Path) -> Case:
    """Read a case that `write_case` wrote."""
    return Case(**json.loads(path.read_text(encoding="utf-8")))


def write_report(report: Report, path: Path) -> None:
    """Write a report as JSON."""
    path.write_text(json.dumps(asdict(report)), encoding="utf-8")


def read_report(path: Path) -> Report:
    """Read a report that `write_report` wrote."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return Report(tuple(data["first_output"]), tuple(data["last_output"]), {name: tuple(last) for name, last in data["stages"].items()})
