"""What a block is made of, before its features are priced."""

from collections import Counter
from dataclasses import dataclass, field

from bwnhw.fabric import Part
from bwnhw.rom_bill import rom_luts


@dataclass
class Bill:
    """`part`: exact; `features`: name → how many; `weight_bits` that are stored."""

    part: Part = Part()
    features: Counter[str] = field(default_factory=Counter)
    weight_bits: int = 0

    def __add__(self, other: "Bill") -> "Bill":
        features = Counter(self.features)
        features.update(other.features)  # counts below 0 stay, which `+` would drop
        return Bill(self.part + other.part, features, self.weight_bits + other.weight_bits)


def constant_table(features: Counter[str], depth: int, width: int, family: str) -> None:
    """A table of constants, which aren't random: what random ones would take is a feature."""
    features["table_luts"] += rom_luts(width, depth, 1.0, family)
