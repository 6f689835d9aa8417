"""A hand-written design with plantable faults, its side-car, and one build cache for all simulation tests."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bwnhw.sim.interface import Interface, read_interface

sys.path[:0] = [str(Path(__file__).parents[1])]  # helper modules that all rooms share
DUMMY = Path(__file__).with_name("dummy.v")
SIDECAR = {
    "top": "dummy", "clock": "aclk", "reset": "aresetn", "frame_error": "frame_error",
    "input": {"lanes": 2, "element_bits": 3, "tdata_bits": 8, "beats_per_image": 12, "signed": False, "shape": [4, 2, 3]},
    "output": {"lanes": 2, "element_bits": 1, "element_bytes": 1, "tdata_bits": 16, "beats_per_image": 12, "signed": False,
               "shape": [4, 2, 3], "kind": "codes"},
    "stages": [{"name": "s0", "nodes": [1], "valid": "s0_valid", "ready": "s0_ready", "payload": "s0_payload", "lanes": 2,
                "bits": 1, "signed": False, "groups": 2, "pixels": 6, "channels": 4}]}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A build cache that lives as long as the test run, shared by the workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if hasattr(request.config, "workerinput") else base) / "builds"


@pytest.fixture
def dummy(tmp_path: Path) -> Callable[[int], Interface]:
    """Write the dummy design with a fault number (0: none) into a folder and read its interface."""
    def write(bug: int = 0) -> Interface:
        folder = tmp_path / f"bug{bug}"
        folder.mkdir()
        (folder / "dummy.v").write_text(DUMMY.read_text().replace("BUG = 0", f"BUG = {bug}"))
        (folder / "dummy.json").write_text(json.dumps(SIDECAR))
        return read_interface(folder)
    return write
