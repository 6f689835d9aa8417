"""What a block is made of, before its features are priced."""

from collections import Counter
from dataclasses import dataclass, field

from bwnhw.fabric import Part
from bwnhw.families import FAMILIES


@dataclass
class Bill:
    """`part`: exact; `features`: name → how many; `weight_bits` that are stored."""

    part: Part = Part()
    features: Counter[str] = field(default_factory=Counter)
    weight_bits: int = 0


def constant_table(features: Counter[str], depth: int, width: int, family: str) -> None:
    """A table of constants: LUTs of leaves and multiplexers; up to two entries are wires or one inverter."""
    leaf = FAMILIES[family].leaf
    leaves = -(-depth // leaf)
    if depth > 2:
        features.update(table_leaves=width * leaves, table_muxes=width * (leaves - 1))
