"""A netlist of gates and registers, whose cones are evaluated for all values of their inputs at once."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from amaranth import Module
from amaranth.lib import wiring
from numpy.typing import NDArray

from bwnhw.rtl.emit import emit
from bwnhw.rtl.synth import run_yosys, yosys_command

SCRIPT = ("read_verilog unit.v; hierarchy -top {top}; proc -norom; setattr -mod -unset keep_hierarchy *; flatten; techmap; opt_clean; "
          "write_json o.json")
GATES = {"$_AND_": lambda a, b: a & b, "$_OR_": lambda a, b: a | b, "$_XOR_": lambda a, b: a ^ b, "$_XNOR_": lambda a, b: ~(a ^ b),
         "$_NOT_": lambda a: ~a, "$_MUX_": lambda a, b, s: (s & b) | (~s & a), "$_BUF_": lambda a: a}
Bit = int | str


class Netlist:
    """The gates of a Verilog text's module `top`, flattened. Registers are cut: their outputs are inputs, `behind` is what they take."""

    def __init__(self, verilog: str, top: str, folder: Path) -> None:
        (folder / "unit.v").write_text(verilog)
        run_yosys([*yosys_command(None), "-p", SCRIPT.format(top=top)], str(folder), 600)
        module = json.loads((folder / "o.json").read_text())["modules"][top]
        self.nets: dict[str, list[Bit]] = {name: net["bits"] for name, net in module["netnames"].items()}
        self._gates: dict[Bit, tuple[str, list[Bit]]] = {}
        self.behind: dict[Bit, Bit] = {}
        for cell in module["cells"].values():
            pins = {name: bits[0] for name, bits in cell["connections"].items()}
            if cell["type"] == "$_DFF_P_":
                self.behind[pins["Q"]] = pins["D"]
            elif cell["type"] != "$scopeinfo":
                self._gates[pins["Y"]] = cell["type"], [pins[name] for name in sorted(pins) if name != "Y"]

    def inputs(self, root: Bit) -> list[Bit]:
        """Ports and registers that a net depends on."""
        found: dict[Bit, None] = {}
        seen: set[Bit] = set()
        stack = [root]
        while stack:
            bit = stack.pop()
            if bit in seen or isinstance(bit, str):
                continue
            seen.add(bit)
            if bit in self._gates:
                stack += self._gates[bit][1]
            else:
                found[bit] = None
        return list(found)

    def values(self, roots: list[Bit], inputs: list[Bit]) -> NDArray[np.bool_]:
        """(roots, 2**inputs): every root for every value of the inputs; input k is bit k of the column's number."""
        columns = np.arange(1 << len(inputs))
        known: dict[Bit, NDArray[np.bool_]] = {bit: columns >> k & 1 == 1 for k, bit in enumerate(inputs)}
        known |= {"0": np.zeros(columns.shape, bool), "1": np.ones(columns.shape, bool)}
        stack = list(roots)
        while stack:
            kind, pins = self._gates.get(stack[-1], ("", []))
            missing = [pin for pin in pins if pin not in known]
            if stack[-1] in known:
                stack.pop()
            elif missing:
                stack += missing
            else:
                known[stack[-1]] = GATES[kind](*(known[pin] for pin in pins))
        return np.stack([known[root] for root in roots])


class Many(wiring.Component):
    """PEs of several sizes side by side, each with ports of its own."""

    def __init__(self, parts: dict[str, wiring.Component]) -> None:
        self._parts = parts
        super().__init__({f"{name}_{port}": member for name, part in parts.items() for port, member in part.signature.members.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, part in self._parts.items():
            m.submodules[name] = part
            for port, member in part.signature.members.items():
                inside, outside = getattr(part, port), getattr(self, f"{name}_{port}")
                m.d.comb += inside.eq(outside) if member.flow == wiring.In else outside.eq(inside)
        return m


def netlist(parts: dict[str, wiring.Component], folder: Path, change: Callable[[str], str] = str) -> Netlist:
    """The gates of components side by side, the emitted text changed on the way."""
    return Netlist(change(emit(Many(parts), "many")), "many", folder)


def planted(module: str, before: str, after: str) -> Callable[[str], str]:
    """A change of the emitted text: in the first module so called, the first match of a pattern becomes something else."""
    def change(text: str) -> str:
        start = re.search(rf"^module \w*_{module}\(", text, re.MULTILINE).start()
        changed, count = re.subn(before, after, text[start:], count=1)
        assert count == 1
        return text[:start] + changed

    return change


def numbers(bits: np.ndarray) -> np.ndarray:
    """(bits, columns) to one number per column."""
    return (bits << np.arange(len(bits))[:, None]).sum(axis=0)
