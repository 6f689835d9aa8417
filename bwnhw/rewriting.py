"""What the passes of `bwnhw.simplify` are written with: operators replaced by others, constants added, operators bypassed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bwnhw.graph import Attribute, Graph, Op

Array = NDArray[Any]


@dataclass
class Draft:
    """Constants and tensor names of a graph while its operators are being replaced."""

    constants: dict[str, Array]
    taken: set[str]

    def name(self, wanted: str) -> str:
        """A tensor name that begins with `wanted` and isn't taken; it is from now on."""
        while wanted in self.taken:
            wanted += "'"
        self.taken.add(wanted)
        return wanted

    def constant(self, wanted: str, array: Array) -> str:
        """Add a read-only copy of an array under a new name that begins with `wanted`; returns that name."""
        name = self.name(wanted)
        self.constants[name] = frozen(array)
        return name


Rule = Callable[[Op, Draft], tuple[Op, ...]]
"""What an operator is replaced by; it may add constants to the draft."""


def frozen(array: Array) -> Array:
    """A read-only copy in C order (0 dimensions stay 0)."""
    result = np.array(array, order="C")
    result.setflags(write=False)
    return result


def fixed(**attrs: Attribute) -> Mapping[str, Attribute]:
    """Attributes of an operator."""
    return MappingProxyType(attrs)


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Every operator replaced by those that `rule` gives for it."""
    names = {name for op in graph.ops for name in op.outputs}.union(graph.constants, (value.name for value in graph.inputs))
    draft = Draft(dict(graph.constants), names)
    ops = tuple(new for op in graph.ops for new in rule(op, draft))
    return replace(graph, ops=ops, constants=MappingProxyType(draft.constants))


def bypass(graph: Graph, unneeded: Callable[[Op], bool]) -> Graph:
    """Without the operators that pass their first input on; a graph output is then called as that input was."""
    alias: dict[str, str] = {}
    kept = []
    for op in graph.ops:
        op = replace(op, inputs=tuple(alias.get(name, name) for name in op.inputs))
        if unneeded(op):
            alias[op.outputs[0]] = op.inputs[0]
        else:
            kept.append(op)
    outputs = tuple(replace(value, name=alias.get(value.name, value.name)) for value in graph.outputs)
    return replace(graph, ops=tuple(kept), outputs=outputs)
