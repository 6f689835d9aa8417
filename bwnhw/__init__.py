"""Trained binary-weight networks become verified FPGA hardware."""

__version__ = "0.1.0"
