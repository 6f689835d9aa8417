"""Constant integer matrices as graphs of adders and truth tables: the arithmetic of an unrolled layer."""

from bwnhw.adders.graph import Graph, Node, Output, cost, evaluate, kernel
from bwnhw.adders.price import price
from bwnhw.adders.solve import enough_levels, solve

__all__ = ["Graph", "Node", "Output", "cost", "enough_levels", "evaluate", "kernel", "price", "solve"]
