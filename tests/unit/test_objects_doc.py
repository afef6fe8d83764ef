"""docs/objects.md is what the firmware says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_list_of_objects_is_up_to_date():
    command = [sys.executable, str(ROOT / "tools" / "objects.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
