"""What tests need of the system: root gets it from Debian, anybody else is told what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
# (script and arguments, what is lacking, what is to be installed)
SCRIPTS = [
    ("chromium.sh", "no chromium", "chromium"),
    ("mosquitto.sh", "no mosquitto", "mosquitto mosquitto-clients"),
    ("nats.sh", "no nats-server", "nats-server"),
    ("node.sh", "no Node.js", "nodejs npm"),
    ("postgres.sh", "no postgresql", "postgresql"),
    ("qemu.sh", "no qemu-system-arm", "qemu-system-arm"),
    ("qemu.sh qemu-system-riscv32", "no qemu-system-riscv32", "qemu-system-misc"),
    ("venv.sh where lock", "this Python has no venv", "python3.11-venv"),
]
# A Python as Debian ships it, without what makes environments.
PYTHON = """#!/bin/sh
case "$2" in
*version_info\\ *) ;;
*print*) echo 3.11 ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def machine():
    """A folder that everybody may read, with the scripts and a machine's bare programs."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        made.chmod(0o755)
        shutil.copytree(ROOT / "tools", made / "tools", ignore=lambda _, names: _not_sh(names))
        (made / "bin").mkdir()
        for program in ("sh", "id", "dirname", "ls"):
            (made / "bin" / program).symlink_to(shutil.which(program))
        yield made


def _not_sh(names):
    return [name for name in names if not name.endswith(".sh")]


def program(machine, name, text):
    (machine / "bin" / name).write_text(text)
    (machine / "bin" / name).chmod(0o755)


def run(machine, script, user=None):
    name, *arguments = script.split()
    return subprocess.run(
        ["sh", f"tools/{name}", *arguments],
        cwd=machine,
        env={"PATH": str(machine / "bin")},
        user=user,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(("script", "lack", "packages"), SCRIPTS)
@pytest.mark.parametrize("has_apt", [True, False], ids=["not-root", "no-apt-get"])
def test_who_cannot_install_is_told_what_to(machine, script, lack, packages, has_apt):
    program(machine, "python3", PYTHON)
    if has_apt:
        program(machine, "apt-get", "#!/bin/sh\necho apt-get was run\n")
    user = NOBODY if has_apt and os.geteuid() == 0 else None
    done = run(machine, script, user)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"openams: {lack}: run  sudo apt-get install {packages}  and try again\n"
    )


@pytest.mark.parametrize(
    ("script", "packages"),
    [
        ("chromium.sh", "chromium fonts-dejavu-core"),
        ("nats.sh", "nats-server"),
        ("node.sh", "nodejs npm ca-certificates"),
    ],
)
def test_root_gets_the_packages(machine, script, packages):
    (machine / "bin" / "id").unlink()
    program(machine, "id", "#!/bin/sh\necho 0\n")
    program(machine, "apt-get", '#!/bin/sh\necho "$DEBIAN_FRONTEND apt-get $*"\n')
    done = run(machine, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        " apt-get update -q",
        f"noninteractive apt-get install -y -q --no-install-recommends {packages}",
    ]


def test_every_script_that_installs_is_among_them():
    uses = {path.name for path in (ROOT / "tools").glob("*.sh") if "debian_" in path.read_text()}
    uses -= {"debian.sh"}
    assert uses == {script.split()[0] for script, _, _ in SCRIPTS}
    for path in (*(ROOT / "tools").glob("*.sh"), ROOT / ".ci" / "run"):
        if path.name != "debian.sh":
            assert "apt-get" not in path.read_text(), path
