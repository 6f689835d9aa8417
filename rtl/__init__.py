"""Hardware generators: blocks of `bwnhw.blocks` become Amaranth components, a design becomes Verilog."""

if __name__ != "bwnhw.rtl":
    raise ImportError(f"import bwnhw.rtl, not {__name__}")
