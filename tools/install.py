"""Installs what a lock names with the pip of this Python: `install.py requirements.lock`."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "host"))

from openams.progress import Steps  # noqa: E402

PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
# What is imported is compiled then: half of the packages never are.
PIP += ["--no-compile"]
# Where the user's environment lets Python write no bytecode, each command would compile what it
# loads anew, for seconds: here it is written once. The command itself does nothing.
LOAD = """import sys
sys.dont_write_bytecode = False
sys.argv = ["ams", "run", "--duration", "nan"]
from openams.entry import main
main()
"""


def main(lock: str) -> int:
    total = len(re.findall(r"^[a-z0-9][^ ]*==", Path(lock).read_text(), re.MULTILINE))
    with Steps("openams: setting up .venv") as steps:
        # The lock names everything there is: nothing else is to be resolved.
        code, said = pip(steps, total, ["--require-hashes", "-r", lock])
        if code == 0:
            steps.show("openams itself")
            code, said = pip(None, 0, ["--no-build-isolation", "-e", str(ROOT)])
            # Scripts that a checkout's environment runs may name modules as they once were.
            words = "import openams_former; openams_former.install()\n"
            Path(sysconfig.get_path("purelib"), "openams-former.pth").write_text(words)
            steps.show("what commands load")
            subprocess.run([sys.executable, "-c", LOAD], stderr=subprocess.DEVNULL, check=False)
    if code:
        print("".join(said[-15:]), file=sys.stderr, end="")
    return code


def pip(steps: Steps | None, total: int, arguments: list[str]) -> tuple[int, list[str]]:
    """Its exit code and all that it said."""
    said, count = [], 0
    process = subprocess.Popen(
        [*PIP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    for line in process.stdout:
        said.append(line)
        if steps and line.startswith(("Collecting ", "Requirement already", "Ignoring ")):
            count += 1
            steps.show("packages", min(count, total), total)
        elif steps and line.startswith("Installing collected"):
            steps.show("unpacking them")
    return process.wait(), said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
