"""Warnings of `verilator --lint-only -Wall` that the emitted Verilog is known to cause, each with the reason why it is right."""

WAIVERS = (
    ("DECLFILENAME", "One file holds the whole design, so that it can be handed on as one."),
    ("PROCASSINIT", "Registers have their reset value from power-up too: FPGAs load it with the bitstream."),
    ("WIDTHEXPAND", "Operands of unequal width are meant to be extended by Verilog's own rules."),
    ("CASEINCOMPLETE", "A table's last value is assigned before its case statement and stands for every other index."),
    ("UNUSEDSIGNAL", "Names are kept for waveforms, carries out of a wrapping counter and padding of tdata are not used."),
    ("UNSIGNED", "A threshold at the lower end of the range makes a comparison constant."),
    ("CMPCONST", "A threshold at the upper end of the range makes a comparison constant."),
)
"""(rule, reason) pairs; `generate` writes them into lint.vlt."""
