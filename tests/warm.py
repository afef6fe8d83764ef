"""`ams` as a user runs it, without the time to load it: a process that has loaded it forks for each
command. Arguments, environment, folder, files, exit code and signals are those of a program of its
own; its loading is what tests of a fresh process are for (tests/interop/test_readme.py).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

AMS = Path(sys.executable).with_name("ams")
_RUN: list[subprocess.Popen[bytes]] = []
_FOLDER = tempfile.TemporaryDirectory(prefix="openams-warm-")


def run(
    arguments: list[str], timeout: float, env: dict[str, str] | None = None, cwd: Any = None
) -> subprocess.CompletedProcess[str]:
    """As subprocess.run(..., capture_output=True, text=True, timeout=timeout) of `ams`."""
    job = {
        "argv": [str(AMS), *arguments],
        "env": dict(os.environ if env is None else env),
        "cwd": str(cwd or os.getcwd()),
    }
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, _connection() as line:
        socket.send_fds(line, [b"\0"], [out.fileno(), err.fileno()])
        line.sendall(json.dumps(job).encode() + b"\n")
        answers = line.makefile("r")
        pid = int(answers.readline())
        line.settimeout(timeout)
        try:
            code = int(answers.readline())
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(job["argv"], timeout) from None
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode().replace("\r\n", "\n"))
    return subprocess.CompletedProcess(job["argv"], code, *texts)


def _connection() -> socket.socket:
    address = os.path.join(_FOLDER.name, f"{os.getpid()}")
    if not _RUN:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen(64)
        with listener:
            _RUN.append(
                subprocess.Popen(
                    [sys.executable, __file__, str(listener.fileno())],
                    pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL,
                )
            )  # fmt: skip
        atexit.register(_RUN[0].kill)
    line = socket.socket(socket.AF_UNIX)
    line.connect(address)
    return line


# --- the other side ---------------------------------------------------------------------


def _serve(listener: socket.socket) -> None:
    _load()

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _attend(line)
        line.close()


def _load() -> None:
    """What commands load when they are called, once for all of them."""
    for package in ("openams.cli", "openams.bench"):
        for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
            import_module(module.name)
    sys.argv = [str(AMS), "run", "--duration", "nan"]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        import_module("openams.cli.main").main()
    gc.collect()
    gc.freeze()


def _attend(line: socket.socket) -> NoReturn:
    """One command: tells its process, then its end."""
    _, files, _, _ = socket.recv_fds(line, 1, 2)
    job = json.loads(line.makefile("r").readline())
    child = os.fork()
    if child == 0:
        line.close()
        _become(job, files)
    line.sendall(b"%d\n" % child)
    _, status = os.waitpid(child, 0)
    line.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(job: dict[str, Any], files: list[int]) -> NoReturn:
    for target, file in zip((1, 2), files, strict=True):
        os.dup2(file, target)
        os.close(file)
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    sys.argv = job["argv"]
    code = 1
    try:
        from openams.entry import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
