"""The design space of a network: plans over a range of rates, and of those the Pareto front of rate, LUTs, block RAM and latency.

The work is cut into tasks that know nothing of each other, so that any executor of `concurrent.futures` can do them: processes of this
machine, or a cluster's (`distributed.Client.get_executor`). What is done is written line by line, and is not done again.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bwnhw.errors import InputError, PlanError
from bwnhw.estimate import estimate
from bwnhw.network import Network, Topology
from bwnhw.plan import Plan, from_json, to_json
from bwnhw.planner import Budget, Given, cheapest

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Task:
    """One plan to find: the cheapest for an interval within a budget. Where it limits no block RAMs they have a price in LUTs."""

    interval: int
    budget: Budget
    clock_mhz: float

    @property
    def key(self) -> str:
        """The same for the same task."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Point:
    """A plan with its exact cycles and estimated resources, and what synthesis counted where that was asked for."""

    interval: int
    latency: int
    luts: int
    ffs: int
    brams: int
    plan: Plan
    synthesised: tuple[int, int, int] | None = None  # LUTs, flip-flops, block RAMs

    @property
    def measures(self) -> tuple[int, int, int, int]:
        """What points are compared by, less being better in each."""
        return self.interval, self.luts, self.brams, self.latency

    def to_json(self) -> dict[str, Any]:
        """Every number with its kind."""
        counted = dict(zip(("luts", "ffs", "brams"), self.synthesised or (None,) * 3, strict=True))
        return {"images_per_second": {"estimated": self.plan.clock_mhz * 1e6 / self.interval},
                **{name: {"estimated": getattr(self, name)} for name in ("interval", "latency")},
                **{name: {"estimated": getattr(self, name), "synthesised": counted[name]} for name in ("luts", "ffs", "brams")},
                "plan": json.loads(to_json(self.plan))}


def tasks(network: Network | Topology, budget: Budget, clock_mhz: float, count: int) -> list[Task]:
    """Plans for `count` intervals in equal ratios, from the least that the layers allow to that of one lane everywhere.

    Each is sought with block RAM at its price and without any; in order from the fastest.
    """
    chain = Given(clock_mhz=clock_mhz).chain(network, budget.family)
    fastest, slowest = max(chain.limits())[0], chain.slowest
    steps = range(count) if count > 1 else range(1)
    intervals = sorted({round(fastest * (slowest / fastest) ** (step / max(1, count - 1))) for step in steps})
    choices = [budget] if budget.brams == 0 else [budget, replace(budget, brams=0)]
    return [Task(interval, choice, clock_mhz) for interval in intervals for choice in choices]


def point(network: Network | Topology, task: Task) -> Point | None:
    """Do a task; None where no plan fits."""
    try:
        plan = cheapest(network, task.interval, task.budget, Given(clock_mhz=task.clock_mhz))
    except PlanError:
        return None
    found = estimate(network, plan, task.budget.family)
    return Point(found.interval, found.latency, found.luts, found.ffs, found.brams, plan)


def explored(network: Network | Topology, wanted: Iterable[Task], executor: Executor, done: "Log", progress: Progress) -> list[Point]:
    """The points of all tasks, those in the log from there, the others by the executor; interrupted, what isn't begun is dropped."""
    wanted = list(wanted)
    open_tasks = {task.key: task for task in wanted if task.key not in done}
    for number, (key, found) in enumerate(_run(executor, {key: (point, network, task) for key, task in open_tasks.items()})):
        done.add(key, found)
        progress(len(wanted) - len(open_tasks) + number + 1, len(wanted))
    points = (done.get(task.key) for task in wanted)
    return [found for found in points if found is not None]


def confirmed(points: list[Point], synthesise: Callable[[Plan], tuple[int, int, int]], executor: Executor, done: "Log", progress: Progress
              ) -> list[Point]:
    """The points with what `synthesise` counts for their plans; it must be something that can be sent to the executor's workers."""
    keys = {"synth " + to_json(one.plan): one for one in points}
    open_keys = {key: (_counted, synthesise, one) for key, one in keys.items() if key not in done}
    for number, (key, found) in enumerate(_run(executor, open_keys)):
        done.add(key, found)
        progress(len(keys) - len(open_keys) + number + 1, len(keys))
    return [found for key in keys if (found := done.get(key)) is not None]


def front(points: Iterable[Point]) -> list[Point]:
    """The points that no other is nowhere worse than in interval, LUTs, block RAM and latency; in order of the interval."""
    unique = {one.measures: one for one in points}
    return [unique[mine] for mine in sorted(unique)
            if not any(other != mine and all(a <= b for a, b in zip(other, mine, strict=True)) for other in unique)]


def _counted(synthesise: Callable[[Plan], tuple[int, int, int]], one: Point) -> Point:
    return replace(one, synthesised=synthesise(one.plan))


def _run(executor: Executor, calls: dict[str, tuple[Any, ...]]) -> Iterator[tuple[str, Point | None]]:
    """Results of calls (function and arguments, by a key) as they come."""
    futures: dict[Future[Point | None], str] = {executor.submit(*call): key for key, call in calls.items()}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


class Log:
    """A file of results, a line each, written as they come; a line that was cut off by a crash is left out.

    The first line says what the results are of. Raises InputError where a file is of something else.
    """

    def __init__(self, path: Path, subject: str) -> None:
        self._path, self._found = path, dict[str, Point | None]()
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if lines and json.loads(lines[0]).get("subject") != subject:
            raise InputError(f"{path}: expected results of this model and version, found those of another; explore into another folder")
        for line in lines[1:]:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            self._found[row["key"]] = row["point"] and _point(row["point"])
        path.write_text("".join(f"{line}\n" for line in [json.dumps({"subject": subject}), *map(_line, self._found.items())]))

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def get(self, key: str) -> Point | None:
        """The result of a key that is there."""
        return self._found[key]

    def add(self, key: str, found: Point | None) -> None:
        """Keep a result."""
        self._found[key] = found
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line((key, found)) + "\n")


def _line(item: tuple[str, Point | None]) -> str:
    key, found = item
    fields = found and {**asdict(found), "plan": to_json(found.plan)}
    return json.dumps({"key": key, "point": fields})


def _point(fields: dict[str, Any]) -> Point:
    counted = fields["synthesised"]
    return Point(**{**fields, "plan": from_json(fields["plan"]), "synthesised": counted and tuple(counted)})
