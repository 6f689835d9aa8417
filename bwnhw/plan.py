"""The folding plan: how much hardware each node gets. Frozen, written as JSON into every generated folder."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from bwnhw.errors import PlanError
from bwnhw.families import FAMILIES

CODEBOOKS = ("none", "index", "shared")


@dataclass(frozen=True)
class Engine:
    """Folding of one conv or dense layer.

    `pe` rows of PEs (output channels at once); `simd` input channels at once of each of `taps` kernel taps at once, so
    taps × simd lanes per row; `planes` activation bits at once (must divide the activation's bits); `lanes` XNORs in one PE, so
    ceil(taps·simd / lanes)·planes columns; `memory` "lut" or "block" for the weights.

    `codebook` "index" stores the kernels of a layer that has a codebook as indices, decoded in the PEs; "shared" counts the codewords'
    matches once, at the top of the array, and stores indices that choose from those: `taps` must be the whole kernel in both cases and
    `lanes` whole kernels; "none" stores weights.

    `engine` "folded" is that array; "unrolled" is an adder graph made for the weights, one output pixel per cycle: `pe`, `simd`, `taps` and
    `planes` must then be all there are, and `lanes` and `memory` say nothing.
    """

    pe: int
    simd: int
    taps: int = 1
    planes: int = 1
    lanes: int = 32
    memory: str = "lut"
    engine: str = "folded"
    codebook: str = "none"


@dataclass(frozen=True)
class Plan:
    """`engines` maps the index of every Conv node to its engine; `input_lanes` elements enter per cycle.

    `fifos` and `buffers` override the computed depth (in beats) of the output FIFO / window buffer of the stage that
    computes a node, by node index. `clock_mhz` is only for turning cycles into images per second. `family` is the FPGA family for whose
    LUTs the arrays are shaped (`bwnhw.families`); the hardware works on any.
    `loadable`: weights, thresholds and the like are loaded at run time, so that one design serves every network of a topology; an
    engine's `memory` then says where its weights are kept.
    """

    engines: tuple[tuple[int, Engine], ...]
    input_lanes: int = 1
    fifos: tuple[tuple[int, int], ...] = ()
    buffers: tuple[tuple[int, int], ...] = ()
    clock_mhz: float = 200.0
    family: str = "xc7"
    loadable: bool = False

    def engine(self, node: int) -> Engine:
        """The engine of conv `node`; PlanError where the plan names none."""
        for index, engine in self.engines:
            if index == node:
                return engine
        raise PlanError(f"plan: node {node} is a conv and must have an engine, but the plan has none for it")


def to_json(plan: Plan) -> str:
    """Canonical JSON text of a plan (ends with a newline)."""
    data = {"format": "bwnhw-plan", "version": 1, "family": plan.family, "clock_mhz": plan.clock_mhz, "input_lanes": plan.input_lanes,
            "loadable": plan.loadable, "engines": {str(node): asdict(engine) for node, engine in plan.engines},
            "fifos": {str(node): depth for node, depth in plan.fifos},
            "buffers": {str(node): depth for node, depth in plan.buffers}}
    return json.dumps(data, indent=2) + "\n"


def from_json(text: str) -> Plan:
    """Read a plan back; every field checked, unknown fields refused by name. Raises PlanError."""
    data = _object(_parse(text), "plan", {"format", "version", "family", "clock_mhz", "input_lanes", "loadable", "engines", "fifos",
                                          "buffers"})
    if data.get("format") != "bwnhw-plan" or data.get("version") != 1:
        raise PlanError(f"plan: expected format 'bwnhw-plan' version 1, found {data.get('format')!r} {data.get('version')!r}")
    engines = []
    for node, fields in _nodes(data, "engines"):
        where = f"plan: engine {node}"
        fields = _object(fields, where, {"pe", "simd", "taps", "planes", "lanes", "memory", "engine", "codebook"})
        memory = _choice(fields.get("memory", "lut"), ("lut", "block"), f"{where}: memory")
        kind = _choice(fields.get("engine", "folded"), ("folded", "unrolled"), f"{where}: engine")
        defaults = {"pe": None, "simd": None, "taps": 1, "planes": 1, "lanes": 32}
        numbers = {name: _positive(fields.get(name, default), f"{where}: {name}") for name, default in defaults.items()}
        codebook = _choice(fields.get("codebook", "none"), CODEBOOKS, f"{where}: codebook")
        engines.append((node, Engine(memory=memory, engine=kind, codebook=codebook, **numbers)))
    clock = data.get("clock_mhz", 200.0)
    if isinstance(clock, bool) or not isinstance(clock, (int, float)) or not 0 < clock <= 10_000:
        raise PlanError(f"plan: clock_mhz must be a number in 0..10000, not {clock!r}")
    depths = {key: tuple((node, _positive(depth, f"plan: {key} {node}")) for node, depth in _nodes(data, key))
              for key in ("fifos", "buffers")}
    return Plan(tuple(engines), _positive(data.get("input_lanes", 1), "plan: input_lanes"), depths["fifos"], depths["buffers"],
                float(clock), _choice(data.get("family", "xc7"), FAMILIES, "plan: family"),
                _flag(data.get("loadable", False), "plan: loadable"))


def _parse(text: str) -> Any:
    if len(text) > 1 << 20:
        raise PlanError(f"plan: expected at most 1 MiB of JSON, found {len(text)} characters")
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise PlanError(f"plan: not valid JSON: {error}") from None


def _object(value: Any, where: str, allowed: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PlanError(f"{where}: expected an object, found {type(value).__name__}")
    unknown = sorted(set(value) - allowed)
    if unknown:
        raise PlanError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(sorted(allowed))}")
    return value


def _nodes(data: dict[str, Any], key: str) -> list[tuple[int, Any]]:
    entries = data.get(key, {})
    if not isinstance(entries, dict) or not all(name.isascii() and name.isdigit() and len(name) < 9 for name in entries):
        raise PlanError(f"plan: {key} must map node numbers to values")
    return sorted((int(name), value) for name, value in entries.items())


def _choice(value: Any, known: Collection[str], where: str) -> str:
    if value not in known:
        raise PlanError(f"{where} must be {' or '.join(map(repr, known))}, not {value!r}")
    return str(value)


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise PlanError(f"{where} must be true or false, not {value!r}")
    return value


def _positive(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1 << 24:
        raise PlanError(f"{where} must be a whole number of at least 1, not {value!r}")
    return value
