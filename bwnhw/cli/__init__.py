"""The command line: one module per command, each with `add(commands)` for its options and a function that runs it."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from bwnhw import __version__
from bwnhw.cli import compress, doctor, estimate, explore, generate, inspect, plan, run, simulate, synth, train
from bwnhw.errors import BwnhwError

COMMANDS = (run, plan, generate, simulate, estimate, explore, synth, inspect, compress, train, doctor)
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="bwnhw", description="Trained binary-weight networks become verified FPGA hardware.",
        epilog="Exit status: 0 done; 1 mismatch, doesn't fit or a tool failed; 2 bad input; 3 missing tool or extra; 130 interrupted.")
    top.add_argument("--version", action="version", version=f"bwnhw {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status. Every expected failure is one sentence on stderr."""
    options = parser().parse_args(arguments)
    try:
        status = options.command(options)
        sys.stdout.flush()
        return int(status or 0)
    except BwnhwError as error:
        return _say(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our table has gone
        _close_stdout()
        return 1
    except OSError as error:
        return _say(f"{error.filename or 'file'}: {error.strerror or error}", 2)
    except MemoryError:
        return _say("this needs more memory than there is", 1)


def _say(sentence: str, status: int) -> int:
    """Print a sentence, with everything that could steer a terminal taken out of the names in it, and let nothing follow."""
    warnings.simplefilter("ignore")  # Amaranth would warn of every half-built module
    _close_stdout()
    print("bwnhw: " + "".join(char if char.isprintable() else "?" for char in sentence), file=sys.stderr)
    return status


def _close_stdout() -> None:
    """Write out what was printed; where that fails, drop it, so that Python doesn't try again and complain at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
