"""Exploring: every point is a plan that keeps its numbers, the front is one, what is done isn't done again, here or on a cluster."""

import json
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import pytest

from bwnhw import cli, explore
from bwnhw.errors import InputError
from bwnhw.estimate import estimate
from bwnhw.explore import Log, Point, Task, confirmed, explored, front, point, tasks
from bwnhw.network import BIPOLAR_WEIGHTS, Conv, Input, Ints, Threshold, Topology
from bwnhw.plan import Plan
from bwnhw.planner import Budget


def small() -> Topology:
    """Two dense layers."""
    return Topology((Input(Ints(12, 1, 1, 0, 1), Fraction(1), Fraction(0), None),
                     Conv((0,), Ints(8, 1, 1, -12, 12), (1, 1), (1, 1), (0, 0, 0, 0), BIPOLAR_WEIGHTS, (2, -1)),
                     Threshold((1,), Ints(8, 1, 1, 0, 1), False),
                     Conv((2,), Ints(4, 1, 1, -8, 8), (1, 1), (1, 1), (0, 0, 0, 0), BIPOLAR_WEIGHTS, (2, -1))))


def no_progress(done: int, total: int) -> None:
    """As if nobody watched."""
    assert 0 < done <= total


def run(folder: Path, wanted: list[Task]) -> list[Point]:
    with ThreadPoolExecutor(1) as executor:
        return explored(small(), wanted, executor, Log(folder / "points.jsonl", "small"), no_progress)


def test_points_are_what_their_plans_are(tmp_path: Path) -> None:
    wanted = tasks(small(), Budget(), 100.0, 4)
    found = run(tmp_path, wanted)
    assert len(found) == len(wanted) >= 6
    for one, task in zip(found, wanted, strict=True):
        again = estimate(small(), one.plan)
        assert one.measures == (again.interval, again.luts, again.brams, again.latency)
        assert one.interval <= task.interval
    best = front(found)
    assert [one.interval for one in best] == sorted({one.interval for one in best})
    assert best[0].luts > best[-1].luts


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = tasks(small(), Budget(), 100.0, 3)
    first = run(tmp_path, wanted[:3])
    path = tmp_path / "points.jsonl"
    path.write_text(path.read_text() + '{"key": "cut o')  # as a crash leaves it
    begun: list[Task] = []

    def watched(topology: Topology, task: Task) -> Point | None:
        begun.append(task)
        return point(topology, task)

    monkeypatch.setattr(explore, "point", watched)
    whole = run(tmp_path, wanted)
    assert begun == wanted[3:]
    assert whole[:3] == first
    with pytest.raises(InputError, match="found those of another"):
        Log(path, "large")


def test_a_plan_that_does_not_fit_is_no_point(tmp_path: Path) -> None:
    assert run(tmp_path, [Task(1000, Budget(1, 0), 100.0)]) == []


def test_front_keeps_what_is_nowhere_worse() -> None:
    plan = Plan(())
    good, other, worse = Point(10, 20, 30, 0, 1, plan), Point(20, 20, 30, 0, 0, plan), Point(20, 20, 31, 0, 0, plan)
    assert front([worse, other, good]) == [good, other]


def test_synthesis_is_kept_too(tmp_path: Path) -> None:
    found = run(tmp_path, tasks(small(), Budget(), 100.0, 2))[:2]
    log = Log(tmp_path / "points.jsonl", "small")
    with ThreadPoolExecutor(1) as executor:
        counted = confirmed(found, lambda plan: (7, 8, 9), executor, log, no_progress)
    assert [one.synthesised for one in counted] == [(7, 8, 9)] * len(counted)
    assert counted[0].to_json()["luts"] == {"estimated": counted[0].luts, "synthesised": 7}
    with ThreadPoolExecutor(1) as executor:
        assert confirmed(found, int, executor, Log(tmp_path / "points.jsonl", "small"), no_progress) == counted  # type: ignore[arg-type]


@pytest.mark.filterwarnings("default")  # what Dask and Tornado warn of is theirs
def test_a_cluster_finds_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        arguments = ["explore", "digits-conv", "--points", "2", "--device", "xc7a35t"]
        assert cli.main([*arguments, "-o", str(tmp_path / "a"), "--scheduler", cluster.scheduler_address]) == 0
    assert cli.main([*arguments, "-o", str(tmp_path / "b"), "--jobs", "1"]) == 0
    there, here = (json.loads((tmp_path / name / "front.json").read_text()) for name in "ab")
    assert there["front"] == here["front"]
    assert (tmp_path / "a" / "front.png").stat().st_size > 1000
    assert "Pareto front of digits-conv" in capsys.readouterr().out
