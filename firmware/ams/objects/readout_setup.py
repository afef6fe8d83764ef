"""The readout at the optical port, as the operator sets it: off, registers, or profiles too.

Manufacturer specific: 0-0:128.6.E. Until an operator has said something it is as the works left
it (`level` of the board's setting `readout`), which is off unless they say otherwise.
"""

from ams.cosem.axdr import ENUM
from ams.objects.view import Data
from ams.results import OTHER_REASON, READ_WRITE_DENIED, AccessError

_MOST = 2  # levels, see ams.cosem.readout; 0 is off


def level_of(model):
    kept = model.settings.get(model.settings.READOUT)
    level = kept[0] if kept else model.meter.readout.get("level", 0)
    return level if 0 <= level <= _MOST else 0


def apply(model, link):
    """Opens or closes it; its modules are loaded where it is open."""
    front = link.service
    level = level_of(model)
    if not level:
        front.open_readout(None)
    elif front.readout is None:
        from ams.cosem.readout import Readout

        name = list_of(model.meter)
        front.open_readout(Readout(front.say, model, name, level, link.server.guessed))
    else:
        front.readout.level = level


def list_of(meter):
    return meter.readout.get("list", "landis")


class ReadoutLevel(Data):
    """0 off, 1 what a display shows, 2 the load profile and the log too."""

    def value(self, out):
        out.enum(level_of(self.model))

    def set(self, attribute, data, who):
        if attribute != 2:
            raise AccessError(READ_WRITE_DENIED)
        level = data.integer(ENUM)
        data.end()
        if not 0 <= level <= _MOST:
            raise AccessError(OTHER_REASON)
        self.model.settings.set(self.model.settings.READOUT, bytes((level,)))
        self.model.changed(self.ln, attribute)
        self.model.set_up_link()


class ReadoutList(Data):
    """The maker whose manner it has."""

    def value(self, out):
        out.visible(list_of(self.meter).encode())
