"""The form of a firmware image, read where it lies in a slot (docs/update.md).

    head      "OAI1" | manifest length u16 | 0 u16 | package length u32
              | system title (8) | expiry u32 | release (32) | signature (64)
    manifest  "OAM1" | product | board | version | minimum version | security version u32
              | state format u16 | files u16 | package length u32 | SHA-256 of the package
              then for each file: name | size u32 | packed size u32 | SHA-256 of the file
    package   the files, each a raw deflate stream

A whole firmware, which runs where it lies:

    manifest  "OAM2" | the same to SHA-256 of the package, files 0 | address of the code u32
    package   FF up to place 4096 of the image | the code

Big-endian; a text is its length u8 and ASCII; times in s since 2000-01-01 UTC.
"""

import hashlib
import struct

from micropython import const

from ams.update import reasons

HEAD_SIZE = const(120)
MAGIC = b"OAI1"
_HEAD = ">4sHHI8sI32s64s"
_MANIFEST_MAGIC = b"OAM1"
_WHOLE_MAGIC = b"OAM2"
# Of the code of a whole firmware in its image.
CODE_AT = const(4096)
_NUMBERS = ">IHHI32s"
_NUMBERS_SIZE = const(44)
_FILE = ">II32s"
_FILE_SIZE = const(40)
_MANIFEST_MAX = const(32768)
_TEXT_MAX = const(24)
_NAME_MAX = const(64)
_FILES_MAX = const(400)
# Of one file: its packed octets are held in RAM while it is inflated.
_PACKED_MAX = const(24576)
_FILE_MAX = const(65536)
_ALL_MAX = const(2097152)
_NAME_OCTETS = b"abcdefghijklmnopqrstuvwxyz0123456789_/."
_RELEASE = b"OAR1"


class Refused(Exception):
    """`reason` is one of ams.update.reasons."""

    def __init__(self, reason):
        super().__init__(reasons.NAMES[reason])
        self.reason = reason


def demand(condition, reason):
    if not condition:
        raise Refused(reason)


def release_octets(manifest_hash, title, expiry_s):
    """What a release to one meter is the HMAC-SHA-256 of, under that meter's update key."""
    return _RELEASE + manifest_hash + title + struct.pack(">I", expiry_s)


def version_numbers(text):
    """ "0.10.2" as (0, 10, 2); raises ValueError."""
    numbers = tuple(int(part) for part in text.split("."))
    if len(numbers) != 3 or min(numbers) < 0:
        raise ValueError("a version has three numbers")
    return numbers


def is_name(name):
    """Whether a file may be called this: a module below the slot, and nothing else."""
    if not 4 <= len(name) <= _NAME_MAX or not name.endswith((b".mpy", b".py")):
        return False
    for octet in name:
        if octet not in _NAME_OCTETS:
            return False
    for part in name.split(b"/"):
        # No empty part, no dot file, no ".." and no absolute path.
        if not part or part[0] == 0x2E or b".." in part:
            return False
    return True


class Head:
    def __init__(self, data):
        magic, manifest, zero, package, title, expiry, release, signature = struct.unpack(
            _HEAD, data
        )
        demand(magic == MAGIC and zero == 0 and 0 < manifest <= _MANIFEST_MAX, reasons.BAD_FORM)
        self.manifest_size = manifest
        self.package_size = package
        self.title = title
        self.expiry_s = expiry
        self.release = release
        self.signature = signature
        self.size = HEAD_SIZE + manifest + package


class Cursor:
    """Takes octets from `read(offset, buffer)`, one after the other, and hashes them."""

    def __init__(self, read, at, end):
        self._read = read
        self.at = at
        self._end = end
        self.hash = hashlib.sha256()

    def take(self, count):
        demand(count <= self._end - self.at, reasons.BAD_FORM)
        data = bytearray(count)
        self._read(self.at, data)
        self.at += count
        self.hash.update(data)
        return bytes(data)

    def text(self, at_most):
        count = self.take(1)[0]
        demand(count <= at_most, reasons.BAD_FORM)
        return self.take(count)

    def left(self):
        return self._end - self.at


class Manifest:
    """What comes before the list of files. `cursor` stands at its begin."""

    origin = None  # of a whole firmware

    def __init__(self, cursor):
        magic = cursor.take(4)
        demand(magic in (_MANIFEST_MAGIC, _WHOLE_MAGIC), reasons.BAD_FORM)
        self.product = cursor.text(_TEXT_MAX)
        self.board = cursor.text(_TEXT_MAX)
        try:
            self.version_text = cursor.text(_TEXT_MAX).decode()
            self.version = version_numbers(self.version_text)
            self.minimum = version_numbers(cursor.text(_TEXT_MAX).decode())
        except ValueError:
            raise Refused(reasons.BAD_FORM)
        numbers = struct.unpack(_NUMBERS, cursor.take(_NUMBERS_SIZE))
        self.security, self.state_format, self.files, self.package_size, self.package_hash = numbers
        if magic == _WHOLE_MAGIC:
            demand(self.files == 0, reasons.BAD_FORM)
            self.origin = int.from_bytes(cursor.take(4), "big")
        else:
            demand(0 < self.files <= _FILES_MAX, reasons.BAD_FORM)


class File:
    """An entry of the manifest; `at` is where its packed octets begin in the image."""

    def __init__(self, cursor, at):
        self.name = cursor.text(_NAME_MAX)
        demand(is_name(self.name), reasons.BAD_NAME)
        self.size, self.packed, self.hash = struct.unpack(_FILE, cursor.take(_FILE_SIZE))
        self.at = at


def open_image(read):
    """(Head, Cursor that stands at the files, Manifest). Nothing is checked but the form."""
    data = bytearray(HEAD_SIZE)
    read(0, data)
    head = Head(bytes(data))
    cursor = Cursor(read, HEAD_SIZE, HEAD_SIZE + head.manifest_size)
    return head, cursor, Manifest(cursor)


def files(head, cursor, manifest):
    """Yields each File, with the bounds that hold whatever anybody signed."""
    if manifest.origin is not None:
        demand(cursor.left() == 0 and cursor.at <= CODE_AT < head.size, reasons.BAD_SIZE)
        return
    at = HEAD_SIZE + head.manifest_size
    end = head.size
    total = 0
    before = b""
    for _ in range(manifest.files):
        file = File(cursor, at)
        # In order: no name twice.
        demand(file.name > before, reasons.BAD_NAME)
        before = file.name
        total += file.size
        demand(
            file.size <= _FILE_MAX and file.packed <= _PACKED_MAX and total <= _ALL_MAX,
            reasons.TOO_LARGE,
        )
        at += file.packed
        demand(at <= end, reasons.BAD_SIZE)
        yield file
    demand(at == end and cursor.left() == 0, reasons.BAD_SIZE)
