"""The files of a slot as modules, in front of those of the base. For CPython."""

import importlib.machinery
import importlib.util
import sys

from amsboot.slotfiles import index as index
from amsboot.slotfiles import inflated, module_names


class SlotFinder:
    """Of sys.meta_path. A package of the slot has the base's other modules too."""

    def __init__(self, slot, files):
        self._slot = slot
        self._files = files
        self._names = module_names(files)

    def find_spec(self, name, path=None, target=None):
        if name not in self._names:
            return None
        package = self._names[name]
        spec = importlib.util.spec_from_loader(name, self, is_package=package)
        if package:
            base = importlib.machinery.PathFinder.find_spec(name, path)
            spec.submodule_search_locations = base.submodule_search_locations if base else []
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__.replace(".", "/")
        if self._names[module.__name__]:
            name += "/__init__"
        if name + ".py" not in self._files:
            raise ImportError("%s.mpy in a slot: this is no MicroPython" % name)
        stream = inflated(self._slot, *self._files[name + ".py"])
        source = bytearray()
        piece = bytearray(1024)
        while True:
            got = stream.readinto(piece)
            if not got:
                break
            source += piece[:got]
        exec(compile(bytes(source), "slot/%s.py" % name, "exec"), module.__dict__)


def mount(slot, files):
    """From here on the slot's modules are imported in front of the base's."""
    sys.meta_path.insert(0, SlotFinder(slot, files))
