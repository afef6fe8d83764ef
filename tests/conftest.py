"""Shared fixtures: the real MicroPython VM, and the data of tests/data."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import told

from openams.runtimes.launch import find_micropython

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    # Who starts tests in the background has Ctrl-C ignored, and all they start inherits it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The keystore of tests is thrown away; that of whoever runs them is left alone.
    data = tempfile.TemporaryDirectory(prefix="openams-tests-")
    config.add_cleanup(data.cleanup)
    os.environ["XDG_DATA_HOME"] = data.name
    for name in ("OPENAMS_KEYSTORE", "OPENAMS_KEYSTORE_PASSPHRASE"):
        os.environ.pop(name, None)
    config.addinivalue_line("markers", "campaign: a run too long for every commit")
    told.tell(config)
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        compile_tests()


def compile_tests() -> None:
    """Of several processes each compiles all tests if none has yet: before they begin, each core
    compiles its share."""
    cache = ROOT / "tests" / "unit" / "__pycache__"
    if sys.dont_write_bytecode or any(cache.glob("*-pytest-*.pyc")):
        return
    files = sorted((ROOT / "tests").rglob("test_*.py"), key=lambda path: path.stat().st_size)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    cores = os.cpu_count() or 1
    running = [
        subprocess.Popen(
            [*command, *files[core::cores]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for core in range(min(cores, len(files)))
    ]
    for one in running:
        # What is wrong with a test is told when it is collected to be run.
        one.wait()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Campaigns run when asked for by `make campaign`, and are deselected, not skipped."""
    items.sort(key=_places(items).__getitem__)
    if os.environ.get("OPENAMS_CAMPAIGN"):
        return
    chosen = [item for item in items if "campaign" not in item.keywords]
    left = [item for item in items if "campaign" in item.keywords]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = chosen


def _places(items: list[pytest.Item]) -> dict[pytest.Item, float]:
    """Fast ones first. Those on the emulated chip take minutes each and stand among the rest, so
    that none is left over for one process at the end."""
    files = list(dict.fromkeys(item.path for item in items))
    place = {path: -1.0 for path in files if path.parent.name == "unit"}
    chip = [path for path in files if path.parent.name == "chip"]
    rest = [path for path in files if path not in place and path.parent.name != "chip"]
    place |= {path: k / len(rest) for k, path in enumerate(rest)}
    place |= {path: 0.6 * k / len(chip) for k, path in enumerate(chip)}
    # Wheels, releases and the image of QEMU's chip are built for minutes by one process, which
    # would be the last at work.
    place |= {path: 0.5 for path in rest if path.parent.name == "release"}
    place |= {path: 0.4 for path in rest if path.parent.name == "qemu"}
    return {item: place[item.path] for item in items}


@pytest.fixture(autouse=True, scope="module")
def _left_by_others() -> None:
    """A firmware's own collection need not go through what is collected to be run, and what the
    files before left, each time: a loop that collects forty times a second took minutes of its
    process for what takes it a tenth of a second."""
    gc.collect()
    gc.freeze()


def run_micropython(
    script: str,
    *argv: str,
    heap_kib: int = 192,
    timeout_s: float = 300,
    paths: tuple[str, ...] = ("firmware", "boards/unix"),
) -> str:
    """Runs a script on the real VM with the firmware on its path; gives its output.

    OPENAMS_VM names a machine of QEMU (tests/qemuvm.py) to run it on instead."""
    chip = os.environ.get("OPENAMS_VM")
    if chip:
        import qemuvm

        return qemuvm.run(chip, script, *argv, timeout_s=timeout_s, paths=paths)
    environment = dict(os.environ, MICROPYPATH=":".join(f"{ROOT}/{path}" for path in paths))
    done = subprocess.run(
        [find_micropython(), "-X", f"heapsize={heap_kib}k", "-c", script, *argv],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def micropython() -> Any:
    return run_micropython


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """(folder with the flash of a meter that has 90 days behind it, its registers)."""
    import history

    folder = tmp_path_factory.mktemp("past")
    return folder, history.make(folder)


@pytest.fixture(scope="session")
def grid_cases() -> list[dict[str, Any]]:
    return list(json.loads((DATA / "grid-cases" / "cases.json").read_text()))
