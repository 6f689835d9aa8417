"""An unrolled layer: its adder graph, and behind every row the threshold or the offset."""

from amaranth import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.adders.graph import TABLE_NETS, Node
from bwnhw.blocks import Unrolled, Window
from bwnhw.rtl.adder_graph import Sums, meaning, truth_table
from bwnhw.rtl.pipeline import delay, lookup
from bwnhw.rtl.signatures import BeatSignature, FlowSignature
from bwnhw.unrolled import UnrolledTables


class UnrolledUnit(wiring.Component):
    """One output beat of all rows for every window beat; formulas in `bwnhw.blocks.Unrolled`.

    Ports: `i` a window's beats, each a group of its own; `o` a flow of `pe` elements, `latency` cycles later. A row is finished as soon as
    its sum is there; what is left of it then, a bit of a threshold mostly, waits for the deepest.
    """

    def __init__(self, block: Unrolled, tables: UnrolledTables, window: Window) -> None:
        self._block, self._tables = block, tables
        super().__init__({"i": In(BeatSignature(window)), "o": Out(FlowSignature(block.pe, block.out_bits))})

    @property
    def latency(self) -> int:
        """Cycles from a beat to its output beat."""
        return self._block.latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block, graph = self._block, self._tables.graph
        values = [self.i.data[at * block.bits:(at + 1) * block.bits] for at in range(block.inputs)]
        sums = Sums(m, graph, values)
        borders: list[Value] = [self.i.offset]
        for level in range(block.levels if block.classes > 1 else 0):
            borders.append(delay(m, borders[-1], 1, f"border_d{level + 1}"))
        finish = self._reached if block.mode == "bits" else self._score
        rows = []
        for row, output in enumerate(graph.outputs):
            node = graph.nodes[output.node]
            border = borders[node.level] if block.classes > 1 else Const(0)
            value = finish(m, row, node, sums.at(output.node, node.level), border)
            result = delay(m, value, 1, f"row{row}")
            rows.append(delay(m, result, block.levels - node.level, f"row{row}_wait"))
        m.d.comb += [self.o.payload.eq(Cat(*rows)), self.o.valid.eq(delay(m, self.i.valid, block.latency, "valid", reset_less=False))]
        return m

    def _reached(self, m: Module, row: int, node: Node, value: Value, border: Value) -> Value:
        """(value ≥ limit of the border) XOR flip, 1 bit."""
        flip = int(self._tables.flips[row])
        limits = [min(max(int(limit), node.lo), node.hi + 1) for limit in self._tables.limits[row]]  # beyond them all limits are alike
        if len(set(limits)) == 1 and node.bits <= TABLE_NETS:
            return truth_table([int(meaning(code, node) >= limits[0]) ^ flip for code in range(1 << node.bits)], value)
        reached = Signal(name=f"reached{row}")
        limit = lookup(m, border, limits, signed(node.bits + 2), f"limit{row}")
        m.d.comb += reached.eq(value >= limit)
        return reached ^ flip

    def _score(self, m: Module, row: int, node: Node, value: Value, border: Value) -> Value:
        """factor·value + offset of the border."""
        bits = self._block.out_bits
        half = 1 << bits - 1
        offsets = [(int(offset) + half) % (2 * half) - half for offset in self._tables.limits[row]]  # a sum wraps harmlessly, so may they
        offset = lookup(m, border, offsets, signed(bits), f"offset{row}")
        factor = int(self._tables.factors[row])
        shifted = value << max(1, abs(factor)).bit_length() - 1
        total = offset + shifted if factor > 0 else offset - shifted if factor else offset
        return total.as_signed()[:bits]
