"""`make release`: everything of a release into dist/, the same octets from the same commit."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import packages
import sbom

sys.path.append(str(packages.ROOT / "tools" / "firmware"))
import sources
import toolchain

from openams.errors import BenchError
from openams.flashing import package
from openams.flashing.targets import TARGETS

BOARDS = ("pico", "pico-bench")


def main() -> int:
    parser = argparse.ArgumentParser(prog="release", description=__doc__)
    parser.add_argument("--out", type=Path, default=packages.ROOT / "dist")
    parser.add_argument("--no-images", action="store_true", help="leave the UF2 images out")
    parser.add_argument("--dirty", action="store_true", help="also what is not committed")
    arguments = parser.parse_args()
    if not arguments.dirty and packages.changes():
        print("release: there are changes: commit them, a release is of a commit", file=sys.stderr)
        return 1
    shutil.rmtree(arguments.out, ignore_errors=True)
    arguments.out.mkdir(parents=True)
    try:
        release(arguments.out, () if arguments.no_images else BOARDS)
    except BenchError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print((arguments.out / "SHA256SUMS").read_text(), end="")
    return 0


def release(out: Path, boards: tuple[str, ...]) -> None:
    packages.wheel(out)
    packages.sdist(out)
    for name, target in TARGETS.items():
        if not target.files:
            continue
        _mip(out / f"openams-mip-{name}.tar", package.build(target))
    for board in boards:
        shutil.copy(_image(board), out / f"openams-{board}.uf2")
    (out / "sbom.cdx.json").write_text(sbom.sbom(_compiler() if boards else {}))
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(out.iterdir())
    ]
    (out / "SHA256SUMS").write_text("".join(sums))


def _compiler() -> dict[str, str]:
    """What the images were built with; says so when a release is built with another."""
    pinned = sources.pins()["toolchain"]
    different = toolchain.others(pinned)
    if different:
        print(f"release: {different}: nobody will get the same images", file=sys.stderr)
    return toolchain.used(pinned)


def _mip(path: Path, files: dict[str, bytes]) -> None:
    """The folder that mip installs from, as an archive."""
    files = {**files, "package.json": package.package_json(sorted(files)).encode()}
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for place in sorted(files):
            packages.add(archive, place, files[place])


def _image(board: str) -> Path:
    tool = packages.ROOT / "tools" / "firmware" / "build.py"
    done = subprocess.run(
        # Apart from what is built day by day: the time of the commit is in it.
        [sys.executable, tool, board, "--quiet", "--out", packages.ROOT / "build" / "release"],
        capture_output=True, text=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(packages.commit_time())},
    )  # fmt: skip
    if done.returncode:
        raise BenchError((done.stderr.strip().splitlines() or ["the image build failed"])[-1])
    return Path(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
