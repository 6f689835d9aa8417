"""Small pieces of pipelines: delay lines, constant tables, constants that stay at a port."""

from collections.abc import Sequence

import numpy as np
from amaranth import Const, Module, Shape, Signal, Value, signed
from numpy.typing import NDArray


def delay(m: Module, value: Value, cycles: int, name: str, *, init: int = 0, reset_less: bool = True) -> Value:
    """`value` as it was `cycles` cycles ago: a line of registers `{name}_d1`, `{name}_d2`, ... that start at `init`."""
    for step in range(cycles):
        register = Signal(value.shape(), name=f"{name}_d{step + 1}", init=init, reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value


def constant(number: int, shape: Shape) -> Value:
    """`number` as the inverse of a constant. Amaranth drops a port that a plain constant drives and writes the constant into
    the instance, which makes a module of every instance; an expression is left at the port."""
    mask = (1 << shape.width) - 1
    value = ~Const(~number & mask, shape.width)
    return value.as_signed() if shape.signed else value


def lookup(m: Module, index: Value, entries: Sequence[int], shape: Shape, name: str) -> Signal:
    """entries[index] from a table of constants; an index beyond the table reads its last entry, which costs no logic.

    Raises ValueError where an entry doesn't fit `shape`.
    """
    low, high = (-1 << shape.width - 1, (1 << shape.width - 1) - 1) if shape.signed else (0, (1 << shape.width) - 1)
    if not all(low <= entry <= high for entry in entries):
        raise ValueError(f"table {name}: entries must be in {low}..{high}, found {min(entries)}..{max(entries)}")
    result = Signal(shape, name=name)
    if len(set(entries)) == 1:
        m.d.comb += result.eq(constant(entries[0], shape))
        return result
    with m.Switch(index):
        for at, entry in enumerate(entries[:-1]):
            with m.Case(at):
                m.d.comb += result.eq(entry)
        with m.Default():
            m.d.comb += result.eq(entries[-1])
    return result


def words(bits: NDArray[np.bool_]) -> list[int]:
    """(depth, lanes) bits to one number per row, lane 0 in the lowest bit."""
    return [int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little") for row in bits]


def elements(payload: Value, lanes: int, bits: int, *, is_signed: bool) -> list[Value]:
    """The `lanes` elements of a payload."""
    parts = [payload[lane * bits:(lane + 1) * bits] for lane in range(lanes)]
    return [part.as_signed() for part in parts] if is_signed else parts


def element_shape(bits: int, is_signed: bool) -> Shape:
    """Shape of an element of `bits`."""
    return signed(bits) if is_signed else Shape(bits)


def next_group(m: Module, valid: Value, groups: int) -> Signal:
    """The counter 0..groups−1 of the beats seen with `valid`; it names the group of the present one."""
    group = Signal(max(1, (groups - 1).bit_length()), name="group")
    if groups > 1:
        with m.If(valid):
            if groups & (groups - 1):
                with m.If(group == groups - 1):
                    m.d.sync += group.eq(0)
                with m.Else():
                    m.d.sync += group.eq(group + 1)
            else:
                m.d.sync += group.eq(group + 1)
    return group
