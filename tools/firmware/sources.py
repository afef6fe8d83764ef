"""The sources of the rp2 port of MicroPython, from Debian's packages, in a cache.

Only sources come from the newer suite: it stands in an apt configuration of
its own, and the machine's own packages stay what they are. The mirror is the
one that the machine's apt uses. What is taken is pinned by version and
SHA-256 in pins.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path

import corrections
from problem import Problem
from shell import output, run

HERE = Path(__file__).parent
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What MicroPython has as submodules and Debian packs apart.
_LIBRARIES = {
    "pico-sdk-source": ("usr/src/pico-sdk", "pico-sdk"),
    "tinyusb-source": ("usr/src/tinyusb", "tinyusb"),
}


def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "openams" / "firmware"


def pins() -> dict:
    return json.loads((HERE / "pins.json").read_text())


def tree(cache: Path) -> Path:
    """MicroPython with its libraries, corrected and ready to build; fetched when not there."""
    pinned = pins()
    # The compiler is no part of the tree.
    taken = {name: value for name, value in pinned.items() if name != "toolchain"}
    known = json.dumps(taken, sort_keys=True).encode() + corrections.digest()
    place = cache / f"micropython-{hashlib.sha256(known).hexdigest()[:12]}"
    if not (place / ".complete").exists():
        fetch(cache, pinned)
        _lay_out(cache / "download", place, pinned)
    return place


def fetch(cache: Path, pinned: dict) -> None:
    """Downloads what is not there yet; every file has its pinned SHA-256."""
    wanted = {**pinned["sources"], **pinned["packages"]}
    download = cache / "download"
    download.mkdir(parents=True, exist_ok=True)
    if not all(_good(download / pin["file"], pin) for pin in wanted.values()):
        apt = _apt_options(cache, pinned["suite"])
        # "=version": apt itself says so when the mirror has another one.
        sources = [f"{name}={pin['version']}" for name, pin in pinned["sources"].items()]
        packages = [f"{name}={pin['version']}" for name, pin in pinned["packages"].items()]
        logs = cache / "logs"
        get = ["apt-get", *apt, "-q"]
        try:
            run([*get, "update"], logs / "sources-update.log")
            run([*get, "source", "--download-only", *sources], logs / "source.log", cwd=download)
            run([*get, "download", *packages], logs / "packages.log", cwd=download)
        except Problem as problem:
            raise Problem(
                f"cannot fetch the sources: {problem}; "
                "without network or with other versions use  --micropython DIR"
            ) from None
    for name, pin in wanted.items():
        if not _good(download / pin["file"], pin):
            raise Problem(f"{name}: {pin['file']} is not the one of pins.json (SHA-256 differs)")


def _good(path: Path, pin: dict) -> bool:
    if not path.exists():
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == pin["sha256"]


def _apt_options(cache: Path, suite: str) -> list[str]:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Problem("no apt here: give an upstream checkout with  --micropython DIR")
    if not _KEYRING.exists():
        raise Problem(f"no {_KEYRING}: run  sudo apt-get install debian-archive-keyring")
    apt = cache / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    line = f"[signed-by={_KEYRING}] {_mirror()} {suite} main\n"
    (apt / "sources.list").write_text(f"deb-src {line}deb {line}")
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt,
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
    }
    return [f"-o{key}={value}" for key, value in options.items()]


def _mirror() -> str:
    """The Debian mirror that the machine's own apt uses."""
    named = os.environ.get("OPENAMS_DEBIAN_MIRROR")
    if named:
        return named
    listing = output(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"]
    )
    mirrors = [line.split()[-1] for line in listing.splitlines() if line.split()]
    for uri in mirrors:
        if uri.rstrip("/").endswith("/debian"):
            return uri
    raise Problem(
        "apt names no Debian mirror: set OPENAMS_DEBIAN_MIRROR to one, or use  --micropython DIR"
    )


def _lay_out(download: Path, place: Path, pinned: dict) -> None:
    work = place.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    _unpack(download / pinned["sources"]["micropython"]["file"], work)
    library = work / "lib"
    _replace(library / "mbedtls")
    _unpack(download / pinned["sources"]["mbedtls"]["file"], library / "mbedtls")
    for name, (inside, target) in _LIBRARIES.items():
        unpacked = work / ".package"
        run(["dpkg", "-x", download / pinned["packages"][name]["file"], unpacked], work / "log")
        _replace(library / target)
        (unpacked / inside).rename(library / target)
        shutil.rmtree(unpacked)
    # The build asks only whether it is there: our manifest takes nothing from it.
    (library / "micropython-lib").mkdir(exist_ok=True)
    (library / "micropython-lib" / "README.md").touch()
    corrections.apply(work)
    (work / ".complete").touch()
    shutil.rmtree(place, ignore_errors=True)
    work.rename(place)


def _replace(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _unpack(archive: Path, target: Path) -> None:
    """An archive's one top folder becomes `target`."""
    staging = target.with_name(target.name + ".unpack")
    shutil.rmtree(staging, ignore_errors=True)
    with tarfile.open(archive) as tar:
        # The pinned sum vouches for it. Python before 3.11.4 has no filters.
        tar.extractall(staging, **({"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}))
    (top,) = staging.iterdir()
    top.rename(target)
    staging.rmdir()
