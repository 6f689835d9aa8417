"""A folder of builds, each under the hash of everything it was made from, so that a stale one is never found."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

_DONE = "build.json"


def default_cache() -> Path:
    """Where builds are kept unless the caller says otherwise."""
    return Path.home() / ".cache" / "bwnhw"


def cached(cache: Path, kind: str, inputs: Iterable[str | bytes], build: Callable[[Path], None]) -> Path:
    """The folder that `build(folder)` filled, from this call or an earlier one with equal `kind` and `inputs`.

    Processes wait for each other. A folder that misses a file, or in which one has changed since, is built again.
    """
    digest = hashlib.sha256()
    for item in (kind, *inputs):
        data = item.encode() if isinstance(item, str) else item
        digest.update(len(data).to_bytes(8, "little") + data)
    folder = cache.resolve() / f"{kind}-{digest.hexdigest()[:24]}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not _intact(folder):
            shutil.rmtree(folder, ignore_errors=True)
            scratch = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=folder.parent))
            try:
                build(scratch)
                (scratch / _DONE).write_text(json.dumps(_digests(scratch), indent=1), encoding="utf-8")
                scratch.rename(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _intact(folder: Path) -> bool:
    try:
        promised = json.loads((folder / _DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(promised == _digests(folder))


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _DONE)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
