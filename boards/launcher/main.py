"""main.py of a flashed board: runs the code of the folder that `slot` names.

A switch of the code is one rename, of `slot.new` to `slot`: at every moment
there is one whole name of one whole folder. It holds the modules as files, or
all of them in one, where the board's file system has no room for so many.
"""

import io
import sys

_MOUNTED = "/code"


class Pack:
    """A file system of one file: "OAP2", octets of its head (u32), a line `size name` for each
    of its files, and these one behind the other, each as a zlib stream; with "OAP1" as they are.
    For reading; nothing of it stays open."""

    def __init__(self, path):
        self._path = path
        self._files = {}
        with open(path, "rb") as file:
            kind = file.read(4)
            if kind not in (b"OAP1", b"OAP2"):
                raise OSError("no package")
            self._deflated = kind == b"OAP2"
            at = int.from_bytes(file.read(4), "big")
            head = file.read(at).decode()
        at += 8
        for line in head.split("\n"):
            if line:
                size, name = line.split(" ", 1)
                self._files[name] = (at, int(size))
                at += int(size)

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def stat(self, path):
        name = path.strip("/")
        if name in self._files:
            return (0x8000, 0, 0, 0, 0, 0, self._files[name][1], 0, 0, 0)
        for file in self._files:
            if file.startswith(name + "/"):
                return (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        raise OSError(2)

    def open(self, path, mode):
        at, size = self._files[path.strip("/")]
        with open(self._path, "rb") as file:
            file.seek(at)
            stream = io.BytesIO(file.read(size))
        if self._deflated:
            import deflate

            stream = io.BytesIO(deflate.DeflateIO(stream, deflate.ZLIB).read())
        return stream


def slot():
    try:
        with open("/slot") as file:
            return file.read().strip()
    except OSError:
        return None


def place(folder):
    """Where modules are imported from."""
    try:
        pack = Pack(folder + "/code.pack")
    except OSError:
        return folder
    import vfs

    vfs.mount(pack, _MOUNTED)
    return _MOUNTED


if __name__ == "__main__":
    name = slot()
    if name is None:
        print("openams: no code on this board: run  ams flash")
    else:
        sys.path.insert(0, place("/" + name))
        chosen = __import__("main")
        # Not while it is imported, which would take a part of the stack for as long as it runs.
        if hasattr(chosen, "run"):
            chosen.run()
