"""Options that several commands share, and how they are read."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bwnhw.families import FAMILIES


def add_command(commands: Any, name: str, function: Callable[[argparse.Namespace], int | None], summary: str, example: str
                ) -> argparse.ArgumentParser:
    """A command with its `--json FILE` and an example under its help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(command=function)
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the result as JSON")
    return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """MODEL."""
    parser.add_argument("model", metavar="MODEL", help="an ONNX file with QONNX's quantisers, or a network that ships (`digits-conv`)")


def add_folding(parser: argparse.ArgumentParser) -> None:
    """How much hardware the network gets: what is wanted, and how much there is."""
    group = parser.add_argument_group("folding", "What the planner aims at: the least LUTs for a wanted rate; without one the greatest "
                                      "rate, or with --quickest the least latency, for what there is.")
    group.add_argument("--plan", metavar="FILE", type=Path, help="folding plan (JSON, as `bwnhw plan` writes it), not our planner's")
    group.add_argument("--interval", metavar="N", type=positive, help="at most N cycles from image to image")
    group.add_argument("--fps", metavar="RATE", type=rate, help="at least RATE images per second at the clock")
    group.add_argument("--quickest", action="store_true", help="the least latency")
    add_budget(group)


def add_budget(parser: Any) -> None:
    """How much hardware there is, and its clock."""
    parser.add_argument("--device", metavar="NAME", help="there is what this device has, such as zynq7020 or ecp5-25 (bwnhw/devices.toml)")
    parser.add_argument("--luts", metavar="N", type=positive, help="at most N LUTs (default: 70%% of the device's)")
    parser.add_argument("--brams", metavar="N", type=natural, help="at most N block RAMs of 18 kbit, on ice40 of 4 (default: the device's)")
    parser.add_argument("--clock", metavar="MHZ", type=clock, help="clock in MHz; turns cycles into images/s (default: the plan's, 200)")


def add_family(parser: argparse.ArgumentParser) -> None:
    """The FPGA family whose LUTs are counted."""
    parser.add_argument("--family", choices=FAMILIES, default=None, help="FPGA family: xc7 has LUT6, ecp5 and ice40 LUT4 (default: xc7)")


def add_images(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """A file of images."""
    parser.add_argument("--images", metavar="FILE", type=Path,
                        help=f".npy, or .npz with x and optional labels y; raw uint8 or the graph's float32 (default: {otherwise})")


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Parallel work."""
    parser.add_argument("--jobs", metavar="N", type=positive, default=2, help="processes or threads at a time (default: %(default)s)")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """The seed of everything random."""
    parser.add_argument("--seed", metavar="N", type=natural, default=1,
                        help="seed of pauses, resets and random codes (default: %(default)s)")


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1)


def natural(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, 0)


def clock(text: str) -> float:
    """A frequency in MHz."""
    return _number(text, "MHz", 10_000)


def rate(text: str) -> float:
    """Images per second."""
    return _number(text, "images per second", 1e10)


def _number(text: str, what: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= most:
        raise argparse.ArgumentTypeError(f"expected {what} in 0..{most:.0f}, found {text!r}")
    return value


def _whole(text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, found {text!r}")
    return int(text)
