"""The compiler for the chip: there already, or installed from Debian's packages as root.

The octets of an image depend on the compiler, the assembler and linker, and the C library that
is linked into it. A release is made with those of pins.json; any other makes images too, and
says that they are not a release's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
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
# Set, nothing but the pinned compiler will do.
PINNED_ONLY = "OPENAMS_PINNED_COMPILER"
# Who says its version itself: Debian has that of the package in brackets there.
_SAYS = {"gcc-arm-none-eabi": "arm-none-eabi-gcc", "binutils-arm-none-eabi": "arm-none-eabi-ld"}
_UNKNOWN = "unknown"


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


def ensure(logs: Path, pinned: Mapping[str, str]) -> None:
    """Installs what is missing; Problem when it is not the pinned one and has to be."""
    if missing():
        _install(logs, pinned if os.environ.get(PINNED_ONLY) else {})
    different = others(pinned)
    if different and os.environ.get(PINNED_ONLY):
        raise Problem(f"{different}; unset {PINNED_ONLY} to build with it all the same")


RISCV_PACKAGES = ("gcc-riscv64-unknown-elf", "picolibc-riscv64-unknown-elf")


def ensure_riscv(logs: Path) -> None:
    """Installs what is missing of the compiler for RISC-V, which no release is made with."""
    compiler = "riscv64-unknown-elf-gcc"
    if shutil.which(compiler):
        return
    install = f"apt-get install -y {' '.join(RISCV_PACKAGES)}"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise Problem(f"no {compiler}: run  sudo {install}")
    _apt_install(logs, list(RISCV_PACKAGES))


def _install(logs: Path, pinned: Mapping[str, str]) -> None:
    lack = missing()
    packages = [*(name for name in PACKAGES if name not in pinned)]
    # A package that was built anew has +b and a number behind the version of its source.
    packages += [f"{name}={version}*" for name, version in pinned.items()]
    install = f"apt-get install -y {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise Problem(f"no {lack[0]}: install the GNU toolchain for arm-none-eabi, cmake and make")
    if os.geteuid() != 0:
        raise Problem(f"no {lack[0]}: run  sudo {install}")
    _apt_install(logs, packages)
    lack = missing()
    if lack:
        raise Problem(f"still no {lack[0]} after  {install}")


def _apt_install(logs: Path, packages: list[str]) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], logs / "apt-update.log", env=env)
    run(
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages],
        logs / "apt-install.log", env=env,
    )  # fmt: skip


# --- versions ------------------------------------------------------------------------------


def used(names: Mapping[str, str]) -> dict[str, str]:
    """The versions of the packages that are on this machine, as far as they can be found out."""
    found = _installed(names)
    for name, program in _SAYS.items():
        if name in names:
            # What is called, which need not be what the package has put there.
            found[name] = _said(program)
    return {name: found.get(name, _UNKNOWN) for name in names}


def _said(program: str) -> str:
    """The version in the first line: of Debian's package, or of the program."""
    if shutil.which(program) is None:
        return _UNKNOWN
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    first = (done.stdout.splitlines() or [""])[0]
    package = re.search(r"\(([0-9][^ )]*)\)", first)
    return _source_version(package[1] if package else first.split()[-1] if first else _UNKNOWN)


def _installed(names: Mapping[str, str]) -> dict[str, str]:
    if shutil.which("dpkg-query") is None:
        return {}
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version} ${Status}\n", *names],
        capture_output=True, text=True,
    )  # fmt: skip
    rows = [line.split(" ", 2) for line in done.stdout.splitlines()]
    return {row[0]: _source_version(row[1]) for row in rows if row[2:] == ["install ok installed"]}


def _source_version(version: str) -> str:
    """Without the number of a build from the same source."""
    return re.sub(r"\+b\d+$", "", version)


def others(pinned: Mapping[str, str]) -> str:
    """What is not the compiler of a release, in one line; nothing when it is."""
    here = used(pinned)
    wrong = [
        f"{name} is {here[name]}, not {version}"
        for name, version in pinned.items()
        if here[name] != version
    ]
    return f"the compiler is not that of a release: {'; '.join(wrong)}" if wrong else ""
