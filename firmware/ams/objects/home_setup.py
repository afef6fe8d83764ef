"""Home automation, as the operator sets it: open or closed.

Manufacturer specific: 0-0:128.7.E. The broker and its password are the customer's: nobody reads
or writes them here.
"""

from ams.cosem.axdr import BOOLEAN
from ams.objects.view import Data
from ams.results import READ_WRITE_DENIED, AccessError


class HomeOpen(Data):
    def value(self, out):
        out.boolean(self.meter.home.is_open)

    def set(self, attribute, data, who):
        if attribute != 2:
            raise AccessError(READ_WRITE_DENIED)
        is_open = data.integer(BOOLEAN) != 0
        data.end()
        self.meter.home.set_open(is_open)
        self.model.changed(self.ln, attribute)


class HomeState(Data):
    """As "connected", or "waiting: refused: not authorized"."""

    def value(self, out):
        out.visible(self.meter.home.state.encode())


class HomePublished(Data):
    """Messages since power-up."""

    def value(self, out):
        out.uint32(self.meter.home.published & 0xFFFFFFFF)
