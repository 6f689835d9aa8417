"""The unrolled unit that array_luts.py measures at fold depth 1: an adder graph that all rows share, the array's accumulators behind it.

Of a row's matching lanes, Σ XNOR(w, a) = W·a + (lanes with w = −1): the graph computes W·a, and the constant, once per beat, is part of
what a group's sum begins with.
"""

import numpy as np
from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from array_units import ACC_BITS, GROUP_BEATS, tables

from bwnhw.adders import Graph, solve
from bwnhw.rtl.adder_graph import Sums
from bwnhw.rtl.emit import emit
from bwnhw.rtl.pipeline import delay


class UnrolledUnit(wiring.Component):
    """Rows of ±1 weights (rows, lanes), each with its own threshold offset.

    Ports: `acts`, `first` and `last` of a group of `GROUP_BEATS` beats; `out`, a bit per row: Σ over the group of matching lanes plus
    the row's offset ≥ 0. A row's bit stands from `latency` cycles after the last beat until that of the next group.
    """

    def __init__(self, weights: np.ndarray, offsets: np.ndarray, family: str) -> None:
        self._graph: Graph = solve(weights, 1, family=family, exact=False)
        self._starts = (offsets + GROUP_BEATS * (weights < 0).sum(axis=1)).tolist()
        super().__init__({"acts": In(weights.shape[1]), "first": In(1), "last": In(1), "out": Out(len(weights))})

    @property
    def latency(self) -> int:
        """Cycles from a group's last beat to the slowest row's bit."""
        return self._graph.levels + 2

    def elaborate(self, platform: object) -> Module:
        """The graph, and an accumulator per row on the row's own level."""
        m = Module()
        graph = self._graph
        sums = Sums(m, graph, list(delay(m, self.acts, 1, "acts")))
        first, last = [self.first], [delay(m, self.last, 1, "last_d0")]
        for level in range(graph.levels):
            first.append(delay(m, first[-1], 1, f"first{level}"))
            last.append(delay(m, last[-1], 1, f"last{level}"))
        rows = []
        for row, (output, start) in enumerate(zip(graph.outputs, self._starts, strict=True)):
            level = graph.nodes[output.node].level
            value = sums.at(output.node, level)
            rows.append(self._accumulated(m, row, value if output.factor > 0 else -value, start, first[level], last[level]))
        m.d.comb += self.out.eq(Cat(rows))
        return m

    @staticmethod
    def _accumulated(m: Module, row: int, value: Value, start: int, before: Value, last: Value) -> Signal:
        """A row's accumulator as the array has it: what a group's sum begins with is the register's reset value, put there one cycle
        `before` its first sum."""
        held = Signal(signed(ACC_BITS), name=f"held{row}", init=start, reset_less=True)
        now = Signal(signed(ACC_BITS), name=f"now{row}")
        bit = Signal(name=f"bit{row}", reset_less=True)
        m.d.comb += now.eq(held + value)
        m.d.sync += held.eq(Mux(before, start, now))
        with m.If(last):
            m.d.sync += bit.eq(~now[-1])
        return bit


def unrolled(rows: int, lanes: int, family: str) -> str:
    """Verilog of the unit for a family as module `top`, with the weights and offsets of `array_units.tables`."""
    kept = tables(rows, lanes, 1)
    return emit(UnrolledUnit(kept.weights[:, 0] * 2 - 1, kept.offsets[:, 0], family), "top")
