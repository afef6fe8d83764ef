"""Where `ams` begins: Ctrl-C ends it cleanly while it still loads, and while it ends."""

import sys
from typing import Any


def main() -> None:
    try:
        sys.unraisablehook = _lost
        from openams.cli.main import main as run

        run()
    except KeyboardInterrupt:
        print("ams: stopped", file=sys.stderr)
        sys.exit(130)
    finally:
        import signal

        # What was asked for is done, or given up: nothing is left to be stopped.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _lost(what: Any) -> None:
    """A Ctrl-C that came amid a finalizer, as the end of each import is one, would be lost there
    with a traceback: it comes again a moment later, where it ends the command."""
    if not isinstance(what.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(what)
        return
    import os
    import signal
    import threading

    again = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()
