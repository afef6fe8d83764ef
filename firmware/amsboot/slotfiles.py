"""The files of a slot as modules, in front of those of the base. For MicroPython.

A package is searched in one folder only, and a slot holds some modules of it: so each import
is seen first, and the folder of the package is set to where the next module lies. The files
are inflated as they are read; nothing of it is in RAM but the code that was loaded.
"""

import builtins
import io
import sys

import deflate
from micropython import const

_ROOT = "/.slot"
_FOLDER = (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
_FILE = (0x8000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
_ENOENT = const(2)
# As ams.update.inflate has it.
_WINDOW_BITS = const(12)


def index(slot):
    """{name: (where its packed octets begin, how many)} of the files of a slot."""
    from ams.update import image

    head, cursor, manifest = image.open_image(slot.read)
    return {
        file.name.decode(): (file.at, file.packed) for file in image.files(head, cursor, manifest)
    }


def module_names(files):
    """{name of a module: whether it is a package} of names of files."""
    names = {}
    for file in files:
        name = file.rsplit(".", 1)[0].replace("/", ".")
        if name.endswith(".__init__"):
            names[name[:-9]] = True
        else:
            names[name] = False
    return names


def inflated(slot, at, packed):
    """A stream of a file's octets."""
    data = bytearray(packed)
    slot.read(at, data)
    return deflate.DeflateIO(io.BytesIO(data), deflate.RAW, _WINDOW_BITS)


class SlotVfs:
    """A file system that can be mounted, for reading."""

    def __init__(self, slot, files):
        self._slot = slot
        self._files = files

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def stat(self, path):
        name = path.lstrip("/")
        if name in self._files:
            return _FILE
        for file in self._files:
            if file.startswith(name + "/"):
                return _FOLDER
        raise OSError(_ENOENT)

    def open(self, path, mode):
        return inflated(self._slot, *self._files[path.lstrip("/")])


class Importer:
    """Stands in front of the VM's import."""

    def __init__(self, names):
        self._names = names
        self._paths = {}  # of packages, where the base has them
        self._import = builtins.__import__

    def see(self, name, globals=None, locals=None, fromlist=None, level=0):
        if level or name in sys.modules and not fromlist:
            return self._import(name, globals, locals, fromlist, level)
        end = 0
        while end >= 0:
            end = name.find(".", end + 1)
            part = name if end < 0 else name[:end]
            if part not in sys.modules:
                self._place(part)
                self._import(part)
        if isinstance(fromlist, tuple):
            for member in fromlist:
                part = name + "." + member
                if part in self._names and part not in sys.modules:
                    self._place(part)
                    self._import(part)
        return self._import(name, globals, locals, fromlist, level)

    def _place(self, name):
        """Makes the VM look where a module is: its package is loaded already."""
        if self._names.get(name):
            self._keep_path(name)
        here = name in self._names
        at = name.rfind(".")
        if at < 0:
            if here:
                sys.path.insert(0, _ROOT)
            elif sys.path[0] == _ROOT:
                sys.path.pop(0)
            return
        parent = name[:at]
        package = sys.modules[parent]
        if parent not in self._paths:
            self._paths[parent] = package.__path__
        package.__path__ = _ROOT + "/" + parent.replace(".", "/") if here else self._paths[parent]

    def _keep_path(self, name):
        """A package of the slot has the base's other modules too: where they are."""
        files, self._names = self._names, {}
        self._place(name)
        try:
            self._import(name)
            self._paths[name] = sys.modules.pop(name).__path__
        except ImportError:
            self._paths[name] = ""
        self._names = files


def mount(slot, files):
    """From here on the slot's modules are imported in front of the base's."""
    import vfs

    vfs.mount(SlotVfs(slot, files), _ROOT)
    builtins.__import__ = Importer(module_names(files)).see
