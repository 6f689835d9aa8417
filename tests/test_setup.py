"""What stands before the tests: the look at the machine, and the rule that a planned test may not be skipped."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPS = {
    "called": "import pytest\ndef test_a():\n    pytest.skip('no simulator')\n",
    "module": "import pytest\npytest.importorskip('no_such_package')\ndef test_a(): pass\n",
    "marked": "import pytest\n@pytest.mark.skipif(True, reason='today')\ndef test_a(): pass\n",
    "none": "def test_a(): pass\n",
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", SKIPS)
def test_a_skipped_test_fails_the_run(kind: str, workers: int, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_one.py").write_text(SKIPS[kind])
    (tmp_path / "test_two.py").write_text(SKIPS["none"])
    command = [sys.executable, "-Im", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), f"--numprocesses={workers}", "."]
    lax, strict = (subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=False)
                   for more in ([], ["--fail-skipped"]))
    assert lax.returncode == 0, lax.stdout
    assert strict.returncode == (0 if kind == "none" else 1), strict.stdout
    assert ("skipped, though planned" in strict.stdout) == (kind != "none")


def preflight(*tools: str, python: str) -> subprocess.CompletedProcess[str]:
    """Run the look at the machine."""
    return subprocess.run([str(ROOT / ".ci" / "preflight"), *tools], env={"PATH": "/usr/bin:/bin", "PYTHON": python}, capture_output=True,
                          text=True, check=False)


def test_preflight_finds_an_interpreter() -> None:
    done = preflight("git", python=f"no-such-python {sys.executable}")
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).exists()


@pytest.mark.parametrize(("tools", "python", "advice"), [
    (("git", "no-such-tool"), sys.executable, "apt-get install --yes no-such-tool"),
    (("git",), "no-such-python", "apt-get install --yes python3 python3-venv python3-dev"),
    (("no-such-tool",), "no-such-python", "apt-get install --yes python3 python3-venv python3-dev no-such-tool")])
def test_preflight_says_what_to_install(tools: tuple[str, ...], python: str, advice: str) -> None:
    done = preflight(*tools, python=python)
    assert (done.returncode, done.stdout) == (1, "")
    assert advice in done.stderr


def test_make_run_needs_no_torch() -> None:
    said = subprocess.run(["make", "--dry-run", "--always-make", "run"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert '".[simulate,synth]"' in said and "torch" not in said and "test" not in said
