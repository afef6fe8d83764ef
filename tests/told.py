"""What a long run of tests tells while it goes on: a failure at once, and where it was ended."""

from __future__ import annotations

import signal
from types import FrameType

import pytest


class Told:
    """Of the process that runs the tests, or leads those that do."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self.terminal = terminal
        self.running: dict[str, None] = {}
        signal.signal(signal.SIGTERM, self.ended)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.running[nodeid] = None

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.running.pop(nodeid, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Who ends a run at its limit would see none of the failures that pytest keeps for the end.
        if report.failed:
            self.terminal.write_line(f"\n{report.nodeid}, {report.when}:\n{report.longreprtext}")

    def ended(self, number: int, frame: FrameType | None) -> None:
        names = "\n  ".join(self.running) or "none"
        self.terminal.write_line(f"\nended by a signal; tests that were running:\n  {names}")
        raise KeyboardInterrupt


def tell(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Told(terminal), "told")
