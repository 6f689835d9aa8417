"""Counting the cells of a synthesised netlist, the way FPGA fabrics pay for them.

LUT = LUT cells and inverters, plus LUTs used as memory or shift register, plus every carry input that isn't driven by its own LUT
(on a Xilinx slice the propagate input S of a carry position can only come from the LUT beside it, so a register, a constant or a LUT
that already feeds another position costs one more as a feed-through). On ECP5 a CCU2C is two LUT4, and a 16×4 RAM four LUT4
and two for its write port. On iCE40 a carry costs a LUT unless the LUT beside it computes with the same inputs. Wide multiplexers (MUXF,
PFUMX) and flip-flops are counted beside it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LUTS_OF_CELL = {
    "xc7": {**{f"LUT{n}": 1 for n in range(1, 7)}, "LUT6_2": 1, "INV": 1, "SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1,
            "RAM16X1S": 1, "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM16X1D": 2, "RAM32X1D": 2,
            "RAM64X1D": 2, "RAM128X1D": 4, "RAM32M": 4, "RAM64M": 4},
    "ecp5": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
    "ice40": {"SB_LUT4": 1},
}
FFS = {"xc7": ("FDRE", "FDSE", "FDCE", "FDPE"), "ecp5": ("TRELLIS_FF",),
       "ice40": tuple(f"SB_DFF{kind}" for kind in ("", "E", "SR", "R", "SS", "S", "ESR", "ER", "ESS", "ES"))}
BRAMS = {"xc7": {"RAMB18E1": 1, "RAMB36E1": 2}, "ecp5": {"DP16KD": 1, "PDPW16KD": 1}, "ice40": {"SB_RAM40_4K": 1}}
MUXES = {"xc7": ("MUXF7", "MUXF8"), "ecp5": ("PFUMX", "L6MUX21"), "ice40": ()}
CARRIES = {"xc7": ("CARRY4",), "ice40": ("SB_CARRY",)}
FREE = {"BUFG", "VCC", "GND", "$scopeinfo"}


@dataclass(frozen=True)
class Count:
    """Cells of a netlist: `luts` as defined above, of which `carry_luts` feed carry inputs; `brams` in 18-kbit blocks (iCE40: 4 kbit)."""

    luts: int
    carry_luts: int
    ffs: int
    brams: int
    muxes: int
    cells: tuple[tuple[str, int], ...]
    other: tuple[str, ...]


def count(netlist: Mapping[str, Any], family: str) -> Count:
    """Count the one module of a flattened Yosys JSON netlist; `other` names cell types that no rule covers."""
    modules = [module for module in netlist["modules"].values() if not _is_primitive(module)]
    cells = [cell for module in modules for cell in module.get("cells", {}).values()]
    kinds = Counter(cell["type"] for cell in cells)
    luts, brams = LUTS_OF_CELL[family], BRAMS[family]
    extra = _CARRY_LUTS.get(family)
    carry = sum(extra(module["cells"]) for module in modules) if extra else 0
    known = {*luts, *brams, *FFS[family], *MUXES[family], *CARRIES.get(family, ())} | FREE
    return Count(sum(number * luts.get(kind, 0) for kind, number in kinds.items()) + carry, carry,
                 sum(kinds[kind] for kind in FFS[family]), sum(number * brams.get(kind, 0) for kind, number in kinds.items()),
                 sum(kinds[kind] for kind in MUXES[family]), tuple(sorted(kinds.items())), tuple(sorted(set(kinds) - known)))


def _is_primitive(module: Mapping[str, Any]) -> bool:
    return any(name in module.get("attributes", {}) for name in ("blackbox", "whitebox"))


def _carry_luts(cells: Mapping[str, Any]) -> int:
    """Feed-through LUTs of CARRY4 chains: used positions whose S input has no LUT of its own."""
    driver: dict[Any, str] = {}
    used: set[Any] = set()
    for cell in cells.values():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                used.update(bits)
            elif cell["type"].startswith("LUT") or cell["type"] == "INV":
                driver.update(dict.fromkeys(bits, cell["type"]))
    claimed: set[Any] = set()
    extra = 0
    for cell in cells.values():
        if cell["type"] != "CARRY4":
            continue
        pins = cell["connections"]
        top = max((i for i in range(4) if pins["O"][i] in used or pins["CO"][i] in used), default=-1)
        for bit in pins["S"][:top + 1]:
            if bit in driver and bit not in claimed:
                claimed.add(bit)
            else:
                extra += 1
    return extra


def _lone_carries(cells: Mapping[str, Any]) -> int:
    """Carries of iCE40 without a LUT of their own: one that takes both summands and the carry that comes in."""
    beside: Counter[tuple[Any, ...]] = Counter()
    for cell in cells.values():
        if cell["type"] == "SB_LUT4":
            pins = cell["connections"]
            beside[pins["I1"][0], pins["I2"][0], pins["I3"][0]] += 1
    alone = 0
    for cell in cells.values():
        if cell["type"] == "SB_CARRY":
            pins = cell["connections"]
            place = pins["I0"][0], pins["I1"][0], pins["CI"][0]
            alone += beside[place] == 0
            beside[place] -= beside[place] > 0
    return alone


_CARRY_LUTS = {"xc7": _carry_luts, "ice40": _lone_carries}
