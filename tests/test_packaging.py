"""The built wheel and sdist: what is in them, and that the wheel alone does everything."""

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LARGEST = 2_000_000  # bytes, of one file
ALL = 6_000_000  # bytes, of the wheel


def build(source: Path, out: Path, *kinds: str) -> None:
    """Build with the back-end that is installed: no network."""
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out, "--wheel", "--sdist")
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return next(dist.glob("*.whl"))


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        sizes = {info.filename: info.file_size for info in file.infolist()}
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bwnhw"}
    for expected in ("py.typed", "cli/run.py", "rtl/generate.py", "sim/batch.cpp", "models/zoo/digits-conv.onnx",
                     "models/zoo/digits-conv.json", "models/zoo/digits-test.npz", "models/recipes/digits-conv.toml"):
        assert f"bwnhw/{expected}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".part"))]
    assert {name: size for name, size in sizes.items() if size > LARGEST} == {}
    assert wheel.stat().st_size < ALL


def test_wheel_holds_every_tracked_file_of_the_rooms(wheel: Path) -> None:
    command = ["git", "ls-files", "-z", "bwnhw", "rtl", "sim", "models"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = {name for name in listed.split("\0") if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink()}
    wanted = {name if name.startswith("bwnhw/") else f"bwnhw/{name}" for name in tracked}
    with zipfile.ZipFile(wheel) as file:
        assert wanted <= set(file.namelist())


def test_sdist_has_folders_for_links_and_builds_the_same_wheel(dist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as file:
        assert not [member.name for member in file.getmembers() if member.issym() or member.islnk()]
        file.extractall(tmp_path, filter="data")
    build(next(tmp_path.iterdir()), tmp_path / "out", "--wheel")
    again = next((tmp_path / "out").glob("*.whl"))
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as two:
        assert {info.filename: info.CRC for info in one.infolist()} == {info.filename: info.CRC for info in two.infolist()}


def test_every_dependency_is_pinned_and_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    pins = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    extras = project["optional-dependencies"].values()
    asked = [line for group in (project["dependencies"], *extras) for line in group if not line.startswith("bwnhw[")]
    names = {line.split(";")[0].split(">")[0].split("=")[0].split("<")[0].strip().lower() for line in asked}
    assert names <= pins
    lines = text.splitlines()
    for requirement in asked:
        number = next(i for i, line in enumerate(lines) if line.strip().startswith(f'"{requirement}"'))
        assert "#" in lines[number].split('",')[-1] or lines[number - 1].strip().startswith("#"), requirement


@pytest.mark.slow
def test_wheel_installed_alone_runs_the_chain(wheel: Path, tmp_path: Path) -> None:
    """An empty environment, an empty folder: `bwnhw run` makes, simulates and costs the network that ships."""
    venv.create(tmp_path / "env", with_pip=True, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    subprocess.run([python, "-Im", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt",
                    f"{wheel}[simulate,synth]"], check=True, env=environment)
    (tmp_path / "empty").mkdir()
    done = subprocess.run([tmp_path / "env" / "bin" / "bwnhw", "run", "--json", "run.json"], cwd=tmp_path / "empty", env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "empty" / "run.json").read_text())
    assert result["model"] == "digits-conv" and result["mismatches"] == 0 and result["images"] == 360 and result["images_cocotb"] >= 200
    assert result["accuracy"] >= 0.97
    assert result["images_per_second"]["value"] > 0 and result["luts"]["synthesised"] > 0 and result["luts"]["family"] == "xc7"
    for part in (result, *result["layers"]):
        assert part["latency_cycles"]["estimated"] == part["latency_cycles"]["measured"]
        assert part["interval_cycles"]["estimated"] == part["interval_cycles"]["measured"]
        assert {"luts", "ffs", "brams"} <= set(part)
    assert {"bwnhw", "python", "numpy", "onnx", "amaranth", "yosys", "verilator", "cocotb", "synthesis"} <= set(result["versions"])
    where = subprocess.run([python, "-Ic", "import bwnhw; print(bwnhw.__file__)"], capture_output=True, text=True, check=True).stdout
    assert where.startswith(str(tmp_path))
