"""An adder graph as pipelined hardware: tables, and carry chains that take in tables."""

from amaranth import Cat, Const, Module, Shape, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from bwnhw.adders.graph import Graph, Node, Output, Terms, enters, form, unchanged


def node_shape(node: Node) -> Shape:
    """Shape of a node's value."""
    return signed(node.bits) if node.lo < 0 else unsigned(node.bits)


class Sums:
    """The nodes of a graph, a register behind every one of them: a node of level l stands l cycles behind the inputs.

    `inputs`: the values of the graph's inputs. Only what `at` asks for is built. Without `registers` everything is combinational.
    """

    def __init__(self, m: Module, graph: Graph, inputs: list[Value], *, registers: bool = True) -> None:
        self._m, self._graph, self._registers = m, graph, registers
        self._domain = m.d.sync if registers else m.d.comb
        self._lines: dict[int, list[Value]] = {index: [value] for index, value in enumerate(inputs)}

    def at(self, index: int, level: int) -> Value:
        """The value of a node as it stands `level` cycles behind the inputs; at least as many as the node's level."""
        node = self._graph.nodes[index]
        if node.bit is not None:
            return self.at(node.terms[0][0], level)[node.bit]
        if index not in self._lines:
            self._lines[index] = [self._made(index, node)]
        line = self._lines[index]
        if not self._registers:
            return line[0]
        while len(line) <= level - node.level:
            register = Signal.like(line[-1], name=f"n{index}_d{len(line)}", reset_less=True)
            self._m.d.sync += register.eq(line[-1])
            line.append(register)
        return line[level - node.level]

    def _made(self, index: int, node: Node) -> Value:
        """The register of a node."""
        nodes = self._graph.nodes
        result = Signal(node_shape(node), name=f"n{index}", reset_less=True)
        kind = form(node, nodes)
        low = unchanged(node) if kind in ("columns", "fold", "add") else 0
        if kind == "columns":
            below, total = self._columns(index, node, low)
        else:
            values = [self.at(source, node.level - 1) for source, _ in node.terms]
            below, total = values[0], self._narrow(index, node, kind, values, low)
        self._domain += result.eq(Cat(below[:low], total[:node.bits - low]))
        return result

    def _narrow(self, index: int, node: Node, kind: str, values: list[Value], low: int) -> Value:
        """A node without its lowest bits, of any kind but columns."""
        nodes = self._graph.nodes
        if kind == "table":
            return _table(self._m, nodes, node.terms, node.constant, values, f"n{index}_t")
        if kind == "fold":
            taken = _table(self._m, nodes, node.terms[1:], node.constant, values[1:], f"n{index}_f")
            return chain(values[0] >> low, taken >> low, node.bits - low)
        return self._wide(node, values, low)

    def _columns(self, index: int, node: Node, low: int) -> tuple[Value, Value]:
        """What a chain over columns carries, and its sum from bit `low` on. What enters its carry stands one place below on either side."""
        nodes, level = self._graph.nodes, node.level - 1
        entering = [self.at(source, level) for source, _ in node.terms[:enters(node, nodes)]]
        carried = _placed([(self.at(source, level), factor) for source, factor in node.terms[len(entering):node.carried]])
        taken = _placed([(self._inside(f"n{index}_t{at}", nodes[source], level), factor)
                         for at, (source, factor) in enumerate(node.terms[node.carried:])])
        return carried, chain(carried >> low, taken >> low, node.bits - low, *entering)

    def _inside(self, name: str, node: Node, level: int) -> Value:
        """A table that a chain takes in."""
        return _table(self._m, self._graph.nodes, node.terms, node.constant, [self.at(source, level) for source, _ in node.terms], name)

    @staticmethod
    def _wide(node: Node, values: list[Value], low: int) -> Value:
        """One or two terms, each times a power of two, without their lowest `low` bits."""
        terms = [(value << abs(factor).bit_length() - 1 >> low, factor > 0) for value, (_, factor) in zip(values, node.terms, strict=True)]
        if len(terms) == 1:
            return -terms[0][0]
        (left, adds), (right, adds_too) = terms
        return left + right if adds and adds_too else left - right if adds else right - left


def chain(carried: Value, taken: Value, bits: int, entering: Value | None = None) -> Value:
    """carried + taken + entering on a carry chain that takes the table of `taken` into its LUTs; the lowest `bits` count.

    Synthesis hands the narrower operand to the carry multiplexers, so that has to be the carried one, whose bits are nets already: what
    it has more than the other is handed over, which changes neither sum nor carries (at the top of a signed sum, no carry is left); and
    where both are as wide, the other gets a bit more that is never 1, which only the mapping into LUTs finds out.
    """
    if carried.shape().signed and len(carried) < len(taken):
        carried = Cat(carried, carried[-1].replicate(len(taken) - len(carried))).as_signed()
    below = [] if entering is None else [entering]
    if taken.shape().signed:
        wide, table = carried + Const(0, Shape(bits, carried.shape().signed)), taken + Const(0, signed(bits))
        return _sum([wide[:bits - 1], Cat(table[:bits - 1], table[bits - 1] ^ wide[bits - 1]), *below])
    at = len(taken)
    over = carried[at:] if not carried.shape().signed else Cat(carried[at:], carried[-1].replicate(max(0, bits - len(carried))))
    if len(carried) == at and not len(over):  # else `over`, at place `at`, makes the other the wider one
        over = taken[0] & (~taken[0] & carried[0])
    return _sum([carried.as_unsigned()[:at], Cat(taken, over), *below])


def _sum(values: list[Value]) -> Value:
    return sum(values[1:], values[0])


def _placed(parts: list[tuple[Value, int]]) -> Value:
    """Values times powers of two that don't overlap, side by side; signed as the last one is."""
    whole: list[Value] = []
    at = 0
    for value, factor in parts:
        low = factor.bit_length() - 1
        whole += [Const(0, low - at), value]
        at = low + len(value)
    return Cat(*whole).as_signed() if parts[-1][0].shape().signed else Cat(*whole)


def _table(m: Module, nodes: tuple[Node, ...], terms: Terms, constant: int, values: list[Value], name: str) -> Value:
    """Σ factor·value + constant as a truth table of all nets at once."""
    nets = Cat(*(value[bit] for value in values for bit in range(len(value))))
    sums = [constant]
    for source, factor in terms:
        node = nodes[source]
        sums = [total + factor * meaning(code, node) for code in range(1 << node.bits) for total in sums]
    made = Signal(range(min(0, *sums), max(0, *sums) + 1), name=name)
    m.d.comb += [made[bit].eq(truth_table([total >> bit & 1 for total in sums], nets)) for bit in range(len(made))]
    return made


def truth_table(column: list[int], nets: Value) -> Value:
    """The bit of a column that the nets select: a LUT written down."""
    return (Const(sum(bit << at for at, bit in enumerate(column)), len(column)) >> nets.as_unsigned())[0]


def meaning(code: int, node: Node) -> int:
    """What the bits of a node mean."""
    return code - (code >> node.bits - 1 << node.bits) if node.lo < 0 else code


def _shift(output: Output) -> int:
    return max(1, abs(output.factor)).bit_length() - 1


class MatrixUnit(wiring.Component):
    """matrix · vector by a graph alone, for measuring it; with `registers` or combinational.

    Ports: `values`, the inputs of `bits` each, input 0 in the low bits; `sums`, the rows one after the other, `width` bits of two's
    complement each, every one `latency` cycles later: the levels of its node, 0 without registers.
    """

    def __init__(self, graph: Graph, *, registers: bool = True) -> None:
        self._graph, self._registers = graph, registers
        self._bits = graph.nodes[0].bits
        self.width = 1 + max(graph.nodes[output.node].bits + _shift(output) for output in graph.outputs)
        super().__init__({"values": In(self._bits * graph.inputs), "sums": Out(self.width * len(graph.outputs))})

    @property
    def latency(self) -> tuple[int, ...]:
        """Cycles from `values` to every row of `sums`."""
        return tuple(self._graph.nodes[output.node].level * self._registers for output in self._graph.outputs)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        graph = self._graph
        inputs: list[Value] = [self.values[at * self._bits:(at + 1) * self._bits] for at in range(graph.inputs)]
        sums = Sums(m, graph, inputs, registers=self._registers)
        for row, output in enumerate(graph.outputs):
            value = sums.at(output.node, graph.nodes[output.node].level) << _shift(output) if output.factor else Const(0)
            m.d.comb += self.sums[row * self.width:(row + 1) * self.width].eq(-value if output.factor < 0 else value)
        return m
