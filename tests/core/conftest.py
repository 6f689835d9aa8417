"""Lets the tests of this folder import its helper modules and those that all rooms share, which lie one folder up."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
