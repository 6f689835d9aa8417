"""What a block is made of, before its features are priced."""

from collections import Counter
from dataclasses import dataclass, field

from bwnhw.fabric import Part


@dataclass
class Bill:
    """`part`: exact; `features`: name → how many; `weight_bits` that are stored."""

    part: Part = Part()
    features: Counter[str] = field(default_factory=Counter)
    weight_bits: int = 0
