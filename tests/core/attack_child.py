"""Run by test_attacks in a process of its own: opens hostile files while an audit hook watches and memory and time are limited.

Arguments: files to open. Prints one line of JSON per file: its name, the exception's type and its message (null where it loaded).
"""

import json
import resource
import sys
from pathlib import Path

import numpy as np

from bwnhw.errors import InputError
from bwnhw.graph import Graph, Op, Value
from bwnhw.images import read_images
from bwnhw.onnx_read import from_bytes, load
from bwnhw.onnx_write import to_bytes
from bwnhw.simplify import simplify

FORBIDDEN = ("subprocess", "socket", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "import", "exec", "compile", "pickle",
             "shutil", "os.remove", "os.rename", "os.mkdir", "ctypes", "urllib", "ftplib", "http", "webbrowser")


def watch(files: set[str]) -> None:
    """From now on anything but reading `files` ends the process with status 70."""
    def hook(event: str, args: tuple[object, ...]) -> None:
        opened = event == "open" and (str(args[0]) not in files or args[1] not in ("r", "rb"))
        if opened or event.split(".")[0] in FORBIDDEN or event in FORBIDDEN:
            sys.stderr.write(f"forbidden: {event} {args!r:.200}\n")
            sys.stderr.flush()
            resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
            raise SystemExit(70)
    sys.addaudithook(hook)


def warm_up() -> None:
    """Whatever is imported or opened on first use, before the hook is there."""
    graph = Graph((Op("Relu", "", ("x",), ("y",)),), (Value("x", (1, 2), "float32"),), (Value("y", (1, 2), "float32"),), {})
    simplify(from_bytes(to_bytes(graph), "warm-up"))
    for name, array in (("warm.npz", None), ("warm.npy", np.zeros((1, 2), np.uint8))):
        path = Path(sys.argv[1]).with_name(name)
        np.savez_compressed(path, x=np.zeros((1, 2), np.uint8)) if array is None else np.save(path, array)
        read_images(path, (2,))


def outcome(path: Path) -> tuple[str | None, str]:
    """The error's type and message, or None."""
    try:
        if path.suffix == ".onnx":
            simplify(load(path))
        else:
            read_images(path, (2,))
    except InputError as error:
        return type(error).__name__, str(error)
    return None, ""


if __name__ == "__main__":
    warm_up()
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    limit = pages * resource.getpagesize() + (400 << 20)
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    watch(set(sys.argv[1:]))
    for name in sys.argv[1:]:
        kind, message = outcome(Path(name))
        sys.stdout.write(json.dumps([Path(name).name, kind, message]) + "\n")
