"""Puts a package on a board so that a pulled cable leaves the old code running.

There are two folders, `a` and `b`. The new code goes to the one that does not
run, is read back and compared, and only then one rename makes it the code
that boots. Everything before that rename touches nothing that runs.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from openams.errors import BenchError
from openams.flashing.link import BoardLink
from openams.flashing.targets import ROOT, TARGETS, Target

SLOTS = ("a", "b")
_CHUNK = 2048
_WINDOW_BITS = 12  # as the board's `_put` has it
_SUM_TIMEOUT_S = 60.0

# Defined on the board for the time of the flashing.
_ON_BOARD = """
import os,hashlib,binascii,io,deflate
def _put(t):
 _f.write(deflate.DeflateIO(io.BytesIO(binascii.a2b_base64(t)),deflate.RAW,12).read())
def _sum(p):
 h=hashlib.sha256()
 b=bytearray(512)
 m=memoryview(b)
 with open(p,'rb') as f:
  while 1:
   n=f.readinto(b)
   if not n:break
   h.update(m[:n])
 return binascii.hexlify(h.digest()).decode()
def _has(p):
 try:
  os.stat(p)
  return True
 except OSError:
  return False
def _rm(p):
 try:
  if os.stat(p)[0]&0x4000:
   for e in os.listdir(p):_rm(p+'/'+e)
   os.rmdir(p)
  else:os.remove(p)
 except OSError:pass
def _text(p):
 try:
  with open(p) as f:return f.read()
 except OSError:return None
"""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Installed:
    slot: str
    files: int
    octets: int


def check_board(link: BoardLink, target: Target) -> str:
    """The board's own name. Raises BenchError when it is another kind of board."""
    platform, machine = link.value("(sys.platform,sys.implementation._machine)")
    if not target.is_on(platform, machine):
        named = next((t.name for t in TARGETS.values() if t.is_on(platform, machine)), None)
        hint = f": --board {named} is for it" if named else ""
        raise BenchError(
            f"{link.port} is a {machine} ({platform}), not a {target.name}: "
            f"nothing was written{hint}"
        )
    return str(machine)


def has_frozen_firmware(machine: str) -> bool:
    """An image of ours boots its own code, whatever is in the files."""
    return "OpenAMS" in machine


def install(
    link: BoardLink,
    target: Target,
    files: dict[str, bytes],
    progress: Progress = lambda done, total: None,
    root: str = "",
    settings: Collection[str] = (),
) -> Installed:
    """Writes, verifies, switches. `root` is where the board's files are, for tests; `settings`:
    names of what the meter will be told."""
    machine = check_board(link, target)
    if has_frozen_firmware(machine):
        raise BenchError(
            f"{link.port} runs an OpenAMS image, which holds the code: make firmware "
            f"BOARD={target.name}, hold BOOTSEL, copy build/{target.name}/firmware.uf2 to the drive"
        )
    if not target.files:
        raise BenchError(
            f"{link.port}: {target.stock} of MicroPython leaves no room for the meter as files: "
            f"make firmware BOARD={target.name} and copy build/{target.name}/firmware.uf2 to it"
        )
    check_ram(link, target, settings)
    link.run(_ON_BOARD)
    running = (link.value(f"_text({root + '/slot'!r})") or "").strip()
    slot = SLOTS[0] if running != SLOTS[0] else SLOTS[1]
    folder = f"{root}/{slot}"
    link.run(f"_rm({folder!r});_rm({root + '/slot.new'!r})", _SUM_TIMEOUT_S)
    _check_room(link, files, root)
    _write_all(link, folder, files, progress)
    _verify(link, {f"{folder}/{place}": data for place, data in files.items()})
    _switch(link, slot, root)
    return Installed(slot, len(files), sum(map(len, files.values())))


def check_ram(link: BoardLink, target: Target, settings: Collection[str] = ()) -> None:
    """Code in files is loaded into RAM: where that is too small, the meter never starts."""
    link.run("import gc;gc.collect()")
    # What the ESP32's port could still take for Python it counts as free.
    ram_kib = link.value("gc.mem_alloc()+gc.mem_free()") // 1024
    if ram_kib < (needed_kib := target.ram_for(settings)):
        raise BenchError(
            f"{link.port}: MicroPython has {ram_kib} KiB of RAM here, and the meter takes "
            f"{needed_kib} with its code: {target.roomier}; nothing was written"
        )


def _check_room(link: BoardLink, files: dict[str, bytes], root: str) -> None:
    """Each file takes whole blocks, each folder two."""
    size, _, _, free, *_ = link.value(f"os.statvfs({(root or '/')!r})")
    block = max(size, 1)
    folders = {str(Path(place).parent) for place in files}
    blocks = sum((len(data) + block - 1) // block for data in files.values()) + 2 * len(folders) + 4
    if blocks > free:
        raise BenchError(
            f"the image is too large: it needs {blocks * block // 1024} KiB on the board and "
            f"{free * block // 1024} are free; the old code is as it was"
        )


def _write_all(link: BoardLink, folder: str, files: dict[str, bytes], progress: Progress) -> None:
    total = sum(map(len, files.values()))
    done = 0
    made = {""}
    link.run(f"os.mkdir({folder!r})")
    for place, data in files.items():
        parts = place.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            if parent not in made:
                link.run(f"os.mkdir({folder + '/' + parent!r})")
                made.add(parent)
        link.run(f"_f=open({folder + '/' + place!r},'wb')")
        for at in range(0, len(data), _CHUNK):
            link.run(f"_put({_packed(data[at : at + _CHUNK])!r})")
            progress(done + min(at + _CHUNK, len(data)), total)
        link.run("_f.close()")
        done += len(data)


def _packed(data: bytes) -> str:
    """Two fifths of the octets that a literal takes on the line."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -_WINDOW_BITS)
    return base64.b64encode(deflater.compress(data) + deflater.flush()).decode()


def _verify(link: BoardLink, files: dict[str, bytes]) -> None:
    """What the board reads back is what was sent."""
    for path, data in files.items():
        if link.value(f"_sum({path!r})", _SUM_TIMEOUT_S) != hashlib.sha256(data).hexdigest():
            raise BenchError(
                f"{link.port}: {path} reads back wrong: the old code is as it was; "
                "flash again, or change the board if it stays so"
            )


def _switch(link: BoardLink, slot: str, root: str) -> None:
    """The new name, whole and read back, takes the place of the old by one rename."""
    name, new = f"{root}/slot", f"{root}/slot.new"
    main, main_new = f"{root}/main.py", f"{root}/main.py.new"
    source = (ROOT / "boards" / "launcher" / "main.py").read_bytes()
    if root:
        source = source.replace(b'"/slot"', repr(name).encode()).replace(
            b'"/" + name', f"{root + '/'!r} + name".encode()
        )
    other_main = link.value(f"_sum({main!r}) if _has({main!r}) else ''", _SUM_TIMEOUT_S)
    change_main = other_main != hashlib.sha256(source).hexdigest()
    if change_main:
        link.run(f"_f=open({main_new!r},'wb');_f.write({source!r});_f.close()")
        _verify(link, {main_new: source})
    text = (slot + "\n").encode()
    link.run(f"_f=open({new!r},'wb');_f.write({text!r});_f.close()")
    _verify(link, {new: text})
    switch = f"os.rename({new!r},{name!r})"
    if change_main:
        # On a board's first flash main.py is what switches: until now nobody read the slot's name.
        # Later it goes first: a new one reads what older ones do, and not the other way round.
        changes = [switch, f"os.rename({main_new!r},{main!r})"]
        for change in changes[::-1] if link.value(f"_has({name!r})") else changes:
            link.run(change)
    else:
        link.run(switch)
    link.run("os.sync() if hasattr(os,'sync') else None")
