"""Where `ams` begins: Ctrl-C ends it cleanly while it still loads, and while it ends."""

import sys


def main() -> None:
    try:
        from openams.cli.main import main as run

        run()
    except KeyboardInterrupt:
        print("ams: stopped", file=sys.stderr)
        sys.exit(130)
    finally:
        import signal

        # What was asked for is done, or given up: nothing is left to be stopped.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
