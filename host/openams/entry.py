"""Where `ams` begins: Ctrl-C ends it cleanly while it still loads."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from openams.cli import main as run
    except KeyboardInterrupt:
        print("ams: stopped", file=sys.stderr)
        sys.exit(130)
    run()
