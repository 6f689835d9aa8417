"""Seeing into a Verilated design: a control file opens signals by name, and the hardware stays as it is."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from bwnhw.sim.cache import cached
from bwnhw.sim.interface import Watch


def handshakes(stages: Sequence[Watch]) -> tuple[str, ...]:
    """The signals of the top module that say when a beat leaves a stage: valid and ready of each in turn."""
    return tuple(name for stage in stages for name in (stage.valid, stage.ready))


def activity(stages: Sequence[Watch]) -> tuple[str, ...]:
    """The signals of the top module that say what the stages' arrays do: busy and fed of each in turn."""
    return tuple(name for stage in stages for name in (stage.busy, stage.fed) if name)


def control_file(cache: Path, module: str, names: Iterable[str]) -> Path:
    """A .vlt file that makes signals of a module readable; its path holds the text's hash, and so does the build's key."""
    text = "`verilator_config\n" + "".join(f'public_flat_rd -module "{module}" -var "{name}"\n' for name in names)

    def write(folder: Path) -> None:
        (folder / "watch.vlt").write_text(text, encoding="utf-8")

    return cached(cache, "watch", [text], write) / "watch.vlt"
