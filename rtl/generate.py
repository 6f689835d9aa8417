"""A network becomes a folder: Verilog, side-car, model, plan, file list, instantiation template, lint waivers.

The folder needs nothing outside itself and can be moved. The same input gives the same bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from bwnhw import __version__
from bwnhw.errors import InputError
from bwnhw.files import new_folder, write_bytes, write_text
from bwnhw.network import Network
from bwnhw.plan import Plan
from bwnhw.plan import to_json as plan_to_json
from bwnhw.rtl.emit import emit, yosys_version
from bwnhw.rtl.names import checked_prefix
from bwnhw.rtl.sidecar import FORMAT, TABLES, VERSION, describe, to_json
from bwnhw.rtl.top import Top, build, load
from bwnhw.rtl.waivers import WAIVERS
from bwnhw.worst_case import worst_case

MODEL, PLAN, LINT = "model.onnx", "plan.json", "lint.vlt"
_LARGEST_SIDECAR = 1 << 22  # bytes; plans and names are far smaller


@dataclass(frozen=True)
class Generated:
    """A generated folder and the prefix of its names; `sidecar` is the side-car's content as parsed JSON."""

    folder: Path
    prefix: str
    sidecar: Mapping[str, Any]

    @property
    def verilog(self) -> Path:
        """The Verilog file."""
        return self.folder / f"{self.prefix}.v"

    @property
    def model(self) -> Path:
        """The model that it was generated from."""
        return self.folder / MODEL

    @property
    def plan(self) -> Path:
        """The plan that it was generated with."""
        return self.folder / PLAN


def generate(network: Network, plan: Plan, model_bytes: bytes, out: Path, prefix: str, force: bool = False) -> Generated:
    """Write the folder `out`, whole or not at all; `model_bytes` is the file that `network` was lowered from.

    A folder that is there is replaced only if it is empty, was written by this function, or `force` says so. Raises InputError for a
    bad prefix or folder, PlanError, MissingError without the pinned Yosys, OSError.
    """
    checked_prefix(prefix)
    if not force and not out.is_symlink() and out.is_dir() and any(out.iterdir()) and not _is_ours(out):
        raise InputError(f"{out}: expected a new or empty folder, or one that bwnhw wrote; found other files in it")
    versions = {"bwnhw": __version__, "amaranth": metadata.version("amaranth"), "yosys": yosys_version()}
    top = build(network, plan)
    plan_text = plan_to_json(plan)
    binaries = {MODEL: model_bytes}
    sha256 = {"model": _digest(model_bytes), "plan": _digest(plan_text.encode())}
    if plan.loadable:
        network = replace(network, topology=worst_case(network.topology))
        binaries[TABLES] = load(network, plan).astype("<u4").tobytes()
        sha256["tables"] = _digest(binaries[TABLES])
    verilog = _header(prefix, sha256, versions) + emit(top, prefix)
    sidecar = to_json(describe(network, plan, top.design, prefix, sha256 | {"verilog": _digest(verilog.encode())}, versions))
    texts = {f"{prefix}.v": verilog, f"{prefix}.json": sidecar, PLAN: plan_text, f"{prefix}.f": f"{prefix}.v\n",
             f"{prefix}_template.v": _template(top, prefix), LINT: _lint(prefix)}
    with new_folder(out, "*") as folder:  # "*": what may be replaced was decided above
        for name, data in binaries.items():
            write_bytes(folder / name, data)
        for name, text in texts.items():
            write_text(folder / name, text)
    return Generated(out, prefix, json.loads(sidecar))


def read(folder: Path) -> Generated:
    """A folder that `generate` wrote, every file checked against the SHA-256 in the side-car. Raises InputError."""
    sidecars = [(path, data) for path in sorted(folder.glob("*.json")) if (data := _sidecar(path)) is not None]
    if len(sidecars) != 1:
        raise InputError(f"{folder}: expected a folder written by `bwnhw generate` with one side-car, found {len(sidecars)}")
    path, data = sidecars[0]
    prefix, sha256 = data.get("top"), data.get("sha256")
    if data.get("version") != VERSION or prefix != path.stem or not isinstance(sha256, dict):
        raise InputError(f"{path.name}: expected a side-car of version {VERSION} for {path.stem}, found {str(data.get('version'))[:20]} "
                         f"for {str(prefix)[:40]!a}")
    generated = Generated(folder, checked_prefix(path.stem), data)
    files = {"model": generated.model, "plan": generated.plan, "verilog": generated.verilog}
    for what, file in (files | ({"tables": folder / TABLES} if "tables" in sha256 else {})).items():
        if not file.is_file():
            raise InputError(f"{folder}: expected {file.name}, which the side-car names, found none")
        if _digest(file.read_bytes()) != sha256.get(what):
            raise InputError(f"{file.name}: expected the file that the side-car was written with, found another: its SHA-256 differs")
    return generated


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_ours(folder: Path) -> bool:
    return any(_sidecar(path) is not None for path in folder.glob("*.json"))


def _sidecar(path: Path) -> dict[str, Any] | None:
    """The JSON of a side-car, None for any other file."""
    if not path.is_file() or path.stat().st_size > _LARGEST_SIDECAR:
        return None
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and data.get("format") == FORMAT else None


def _header(prefix: str, sha256: Mapping[str, str], versions: Mapping[str, str]) -> str:
    weights = "; its weights are loaded" if "tables" in sha256 else ", its weights included"
    made_by = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (f"// {prefix}: a trained network as hardware{weights}. Made by {made_by}.\n"
            f"// model SHA-256 {sha256['model']}\n// plan SHA-256 {sha256['plan']}\n\n")


def _template(top: Top, prefix: str) -> str:
    """How to instantiate the top module: every port by name, with its width and direction."""
    ports = [(name, member.flow.name, member.shape) for name, member in top.signature.members.items()]
    lines = [f"  .{name}({name}){',' if number < len(ports) else ' '}  // {flow.lower()}put, {shape} bit{'s' if shape > 1 else ''}"
             for number, (name, flow, shape) in enumerate(ports, 1)]
    head = [f"// Copy this into your design; {prefix}.json says how the data are packed.", f"{prefix} {prefix}_i ("]
    return "\n".join([*head, *lines, ");", ""])


def _lint(prefix: str) -> str:
    """Verilator's configuration file: what it may not warn about in our Verilog, and why."""
    lines = ["`verilator_config"]
    for rule, reason in WAIVERS:
        lines += [f"// {reason}", *(f'lint_off -rule {rule} -file "{folder}{prefix}.v"' for folder in ("", "*/"))]
    return "\n".join([*lines, ""])
