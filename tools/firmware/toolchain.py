"""The compiler for the chip: there already, or installed from Debian's packages as root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from problem import Problem
from shell import run

PACKAGES = (
    "gcc-arm-none-eabi",
    "libnewlib-arm-none-eabi",
    "libstdc++-arm-none-eabi-newlib",
    "cmake",
    "make",
    "gcc",
    "g++",
    "libc6-dev",
)
_PROGRAMS = ("arm-none-eabi-gcc", "arm-none-eabi-g++", "cmake", "make", "cc")


def missing() -> list[str]:
    lack = [program for program in _PROGRAMS if shutil.which(program) is None]
    # nosys.specs is newlib's: Debian packs it apart from the compiler.
    if not lack:
        spec = subprocess.run(
            ["arm-none-eabi-gcc", "-print-file-name=nosys.specs"], capture_output=True, text=True
        )
        if "/" not in spec.stdout:
            lack = ["newlib for arm-none-eabi"]
    return lack


def ensure(logs: Path) -> None:
    lack = missing()
    if not lack:
        return
    install = f"apt-get install -y {' '.join(PACKAGES)}"
    if shutil.which("apt-get") is None:
        raise Problem(f"no {lack[0]}: install the GNU toolchain for arm-none-eabi, cmake and make")
    if os.geteuid() != 0:
        raise Problem(f"no {lack[0]}: run  sudo {install}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], logs / "apt-update.log", env=env)
    run(
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES],
        logs / "apt-install.log", env=env,
    )  # fmt: skip
    lack = missing()
    if lack:
        raise Problem(f"still no {lack[0]} after  {install}")
