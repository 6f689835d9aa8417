"""Every exception that `bwnhw` raises on purpose.

    BwnhwError                 exit status 1
    ├── InputError             exit status 2: the user's file, option or data is wrong
    │   ├── ModelError         a model file can't be read, or holds what can't be lowered exactly
    │   ├── ImageError         an image file has the wrong format, shape or dtype
    │   └── PlanError          a folding file or option can't be honoured
    ├── MissingError           exit status 3: a tool or an optional extra is not installed
    ├── MismatchError          exit status 1: hardware and golden model differ
    ├── FitError               exit status 1: a design doesn't fit into a device
    └── ToolError              exit status 1: an external tool ran and failed

Messages are one sentence: the offending name, what was expected, what was found.
"""


class BwnhwError(Exception):
    """Base of all errors; `exit_status` is what the command line returns."""

    exit_status = 1


class InputError(BwnhwError):
    """Something the user handed over is wrong."""

    exit_status = 2


class ModelError(InputError):
    """A model file can't be read safely, or holds what can't be lowered exactly."""


class ImageError(InputError):
    """An image file has the wrong format, shape or dtype."""


class PlanError(InputError):
    """A folding can't be honoured."""


class MissingError(BwnhwError):
    """A tool or an optional extra is not installed."""

    exit_status = 3


class MismatchError(BwnhwError):
    """Hardware and golden model differ."""


class FitError(BwnhwError):
    """A design doesn't fit into a device."""


class ToolError(BwnhwError):
    """An external tool ran and failed."""
