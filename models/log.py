"""What a training reports after every epoch, and the files in which it can be followed."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from tensorboardX import SummaryWriter

from bwnhw.files import write_text


@dataclass(frozen=True)
class EpochReport:
    """One epoch: the mean loss of its batches, the learning rate of its last step, wall-clock seconds.

    `validation_accuracy` is a fraction, None where nothing is held out; `measures` are further numbers by name, statistics of signs say.
    """

    epoch: int
    epochs: int
    loss: float
    rate: float
    validation_accuracy: float | None
    seconds: float
    measures: Mapping[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, float | int | str]:
        """By the log's columns; empty where there is no value."""
        validation = "" if self.validation_accuracy is None else self.validation_accuracy
        return {"epoch": self.epoch, "loss": self.loss, "learning_rate": self.rate, "validation_accuracy": validation,
                "seconds": round(self.seconds, 2), **self.measures}


class Log:
    """The reports of one training as PATH.csv, one row each, and as events for TensorBoard in the folder PATH-events.

    Begins anew: what an earlier training left there is replaced. Raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self.table = path.with_suffix(".csv")
        self.reports: list[EpochReport] = []
        folder = path.with_name(f"{path.name}-events")
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self.events = SummaryWriter(str(folder))

    def add(self, report: EpochReport) -> None:
        """Add a row."""
        self.reports.append(report)
        rows = [each.row() for each in self.reports]
        text = StringIO()
        writer = csv.DictWriter(text, list(rows[-1]), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.table, text.getvalue())
        for name, value in rows[-1].items():
            if name != "epoch" and value != "":
                self.events.add_scalar(name.replace(" ", "/"), value, report.epoch)

    def close(self) -> None:
        """Write what is left."""
        self.events.close()
