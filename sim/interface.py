"""What a generated folder promises about its ports, read from the side-car: everything else in `bwnhw.sim` starts here."""

import hashlib
import json
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from bwnhw.errors import InputError


@dataclass(frozen=True)
class Stream:
    """How maps of integers (C, H, W) travel: pixels in raster order, per pixel `groups` beats of `lanes` channels.

    An element of `bits` (two's complement where `signed`) stands in `pitch` ≥ bits bits, element 0 in the low ones; a beat is
    padded with zeros to whole bytes. Elements behind the last channel are dummies: 0 when sent, ignored when received.
    """

    lanes: int
    bits: int
    pitch: int
    signed: bool
    shape: tuple[int, int, int]

    @property
    def groups(self) -> int:
        """Beats per pixel."""
        return ceil(self.shape[0] / self.lanes)

    @property
    def beats(self) -> int:
        """Beats per image."""
        return self.groups * self.shape[1] * self.shape[2]

    @property
    def beat_bytes(self) -> int:
        """Bytes of one beat."""
        return ceil(self.lanes * self.pitch / 8)

    def place(self, beat: int, lane: int) -> tuple[int, int, int]:
        """(channel, y, x) of an element of beat number `beat` of an image."""
        pixel, group = divmod(beat, self.groups)
        return group * self.lanes + lane, pixel // self.shape[2], pixel % self.shape[2]


@dataclass(frozen=True)
class Watch:
    """The stream that leaves a stage inside the design: its signals in the top module and the node whose values it carries.

    `busy`, `fed`: the signals of its array (a beat enters, the words for the next one are there), None without one.
    """

    name: str
    node: int
    valid: str
    ready: str
    payload: str
    stream: Stream
    busy: str | None
    fed: str | None


@dataclass(frozen=True)
class Interface:
    """One generated design: its Verilog file, top module, ports and the streams inside.

    `tables`: the words (little-endian uint32) that load the folder's model, None where the weights are in the Verilog.
    """

    verilog: Path
    top: str
    source: Stream
    sink: Stream
    stages: tuple[Watch, ...]
    tables: Path | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the Verilog text as it lies on disk now."""
        return hashlib.sha256(self.verilog.read_bytes()).hexdigest()


def read_interface(directory: Path) -> Interface:
    """The interface of a generated folder, from the one side-car in it.

    Raises InputError where there is no side-car, it lacks a field, or the Verilog isn't the one it was written with.
    """
    for path in sorted(directory.glob("*.json")):
        data = _load(path)
        if isinstance(data, dict) and "top" in data and "stages" in data:
            return _interface(path, data)
    raise InputError(f"{directory}: expected a folder written by `bwnhw generate`, found no side-car (*.json with a top and stages)")


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path.name}: not valid JSON: {error}") from None


def _interface(path: Path, data: dict[str, Any]) -> Interface:
    verilog = path.with_suffix(".v")
    try:
        source, sink = data["input"], data["output"]
        shape = tuple(sink["shape"])
        interface = Interface(
            verilog, data["top"],
            Stream(source["lanes"], source["element_bits"], source["element_bits"], source["signed"], tuple(source["shape"])),
            Stream(sink["lanes"], sink["element_bits"], 8 * sink["element_bytes"], sink["signed"], shape),
            tuple(_watch(stage) for stage in data["stages"]),
            path.with_name(data["load"]["file"]) if data.get("load") else None)
        promised = {"input": (source["tdata_bits"], source["beats_per_image"]), "output": (sink["tdata_bits"], sink["beats_per_image"])}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path.name}: side-car lacks or garbles the field {error}") from None
    for name, stream in (("input", interface.source), ("output", interface.sink)):
        if promised[name] != (8 * stream.beat_bytes, stream.beats):
            raise InputError(f"{path.name}: {name} has {promised[name]} as tdata_bits and beats_per_image, "
                             f"its lanes and shape give {(8 * stream.beat_bytes, stream.beats)}")
    if interface.tables and (interface.tables.parent != path.parent or not interface.tables.is_file()):
        raise InputError(f"{path.name}: expected the words to load beside it, found none at {interface.tables}")
    if not verilog.is_file():
        raise InputError(f"{path.name}: expected the Verilog {verilog.name} beside it, found none")
    return interface


def _watch(stage: dict[str, Any]) -> Watch:
    shape = (stage["channels"], 1, stage["pixels"])
    stream = Stream(stage["lanes"], stage["bits"], stage["bits"], stage["signed"], shape)
    return Watch(stage["name"], stage["nodes"][-1], stage["valid"], stage["ready"], stage["payload"], stream, stage.get("busy"),
                 stage.get("fed"))
