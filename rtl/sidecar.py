"""The side-car: what every port, stream and name of a generated design means, as JSON beside the Verilog.

Names of the model appear here only, never in the hardware. `docs/blocks-streams.md` says how elements are packed.
"""

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from bwnhw.blocks import Design, Stage
from bwnhw.loading import WORD, LoadTable, load_tables, signature
from bwnhw.network import ArgMax, Input, Network, Pool, Threshold, Topology
from bwnhw.plan import Plan
from bwnhw.plan import to_json as plan_to_json
from bwnhw.rtl.shell import element_bytes, input_bits, output_bits

FORMAT, VERSION = "bwnhw-sidecar", 1
TABLES = "tables.bin"


@dataclass(frozen=True)
class InputSide:
    """s_axis: `lanes` elements of `element_bits` without gaps in `tdata_bits`; real value = scale·(code − zero).

    `codes` is "raw" where an element is the model's own input value, "quantised" where the host first applies the quantiser
    `rounding`. `scale` and `zero` are fractions as text.
    """

    lanes: int
    element_bits: int
    tdata_bits: int
    beats_per_image: int
    signed: bool
    shape: tuple[int, int, int]
    codes: str
    scale: str
    zero: str
    rounding: str | None


@dataclass(frozen=True)
class OutputSide:
    """m_axis: `lanes` elements of `element_bits`, each extended to `element_bytes`.

    `kind` is "scores", "codes" or "argmax". Where the real values are an affine function of the integers, `scale` and `zero` hold one
    entry or one per channel, else null.
    """

    lanes: int
    element_bits: int
    element_bytes: int
    tdata_bits: int
    beats_per_image: int
    signed: bool
    shape: tuple[int, int, int]
    kind: str
    scale: tuple[str, ...] | None
    zero: tuple[str, ...] | None


@dataclass(frozen=True)
class StageSide:
    """The stream that leaves a stage: its signals in the top module, and the nodes that the stage computes.

    `busy` and `fed` are the signals of its array: a beat enters it, the words for the next one are there; null without an array.
    """

    name: str
    nodes: tuple[int, ...]
    valid: str
    ready: str
    payload: str
    lanes: int
    bits: int
    signed: bool
    groups: int
    pixels: int
    channels: int
    busy: str | None
    fed: str | None


@dataclass(frozen=True)
class LoadSide:
    """s_axis_load: `words` of `tdata_bits` in all, tlast on the last one, which is `signature`.

    Before it come the `tables` in this order, each `depth` words, entry 0 first, its `bits` in the low bits of the word. `file` holds the
    words of the model in the folder, little-endian.
    """

    file: str
    tdata_bits: int
    words: int
    signature: int
    tables: tuple[LoadTable, ...]


@dataclass(frozen=True)
class SideCar:
    """Everything about a generated design; `origins` maps a node to the model's tensor that it stands for; `load` is null unless its
    tables are loaded at run time."""

    top: str
    input: InputSide
    output: OutputSide
    stages: tuple[StageSide, ...]
    load: LoadSide | None
    origins: dict[str, str]
    plan: dict[str, Any]
    sha256: dict[str, str]
    versions: dict[str, str]


def describe(network: Network, plan: Plan, design: Design, prefix: str, sha256: dict[str, str], versions: dict[str, str]) -> SideCar:
    """The side-car of a design. `sha256`: of "model", "plan" and "verilog"; `versions`: of what made it."""
    origins = {str(index): meaning.tensor for index, meaning in enumerate(network.meanings) if meaning}
    return SideCar(prefix, _input(network, design), _output(network, design),
                   tuple(_stage(network.topology, stage) for stage in design.stages), _load(design), origins,
                   json.loads(plan_to_json(plan)), sha256, versions)


def to_json(sidecar: SideCar) -> str:
    """Canonical JSON text (ASCII, ends with a newline)."""
    data = {"format": FORMAT, "version": VERSION, "clock": "aclk", "reset": "aresetn", "frame_error": "frame_error"} | asdict(sidecar)
    return json.dumps(data, indent=2) + "\n"


def _input(network: Network, design: Design) -> InputSide:
    node = network.topology.nodes[0]
    if not isinstance(node, Input):
        raise TypeError(f"node 0: expected an Input, found {type(node).__name__}")
    port = design.input
    return InputSide(port.lanes, port.bits, input_bits(port), port.beats, port.signed, node.out.shape,
                     "raw" if node.rounding is None else "quantised", str(node.scale), str(node.zero), node.rounding)


def _output(network: Network, design: Design) -> OutputSide:
    port, last = design.output, network.topology.nodes[-1]
    meaning = network.meanings[-1]
    return OutputSide(port.lanes, port.bits, element_bytes(port), output_bits(port), port.beats, port.signed, last.out.shape,
                      _kind(network.topology), _texts(meaning.scale) if meaning else None, _texts(meaning.zero) if meaning else None)


def _kind(topology: Topology) -> str:
    """What the last node's integers are; a pool gives what it reads."""
    node = topology.nodes[-1]
    while isinstance(node, Pool):
        node = topology.nodes[node.src[0]]
    return "argmax" if isinstance(node, ArgMax) else "codes" if isinstance(node, Threshold | Input) else "scores"


def _load(design: Design) -> LoadSide | None:
    if not design.loadable:
        return None
    tables = load_tables(design)
    return LoadSide(TABLES, WORD, 1 + sum(table.depth for table in tables), signature(design), tables)


def _texts(values: tuple[Fraction, ...]) -> tuple[str, ...]:
    return tuple(map(str, values))


def _stage(topology: Topology, stage: Stage) -> StageSide:
    out, fifo = topology.nodes[stage.nodes[-1]].out, stage.fifo
    busy, fed = (f"{stage.name}_busy", f"{stage.name}_fed") if stage.array else (None, None)
    return StageSide(stage.name, stage.nodes, f"{stage.name}_valid", f"{stage.name}_ready", f"{stage.name}_payload", fifo.lanes,
                     fifo.bits, out.signed, -(-out.channels // fifo.lanes), out.pixels, out.channels, busy, fed)
