"""For all tests: a run that left out a planned test is not green."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fail-skipped`, as `make test` runs."""
    parser.addoption("--fail-skipped", action="store_true", help="a test that is skipped fails the run")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was skipped."""
    skipped = terminalreporter.stats.get("skipped", [])
    if config.getoption("fail_skipped") and skipped:
        terminalreporter.section("skipped, though planned: the run fails")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session):
    """Turn success into failure where something was skipped; the workers of pytest-xdist report to the process that has a terminal."""
    result = yield
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("fail_skipped") and terminal and terminal.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return result
