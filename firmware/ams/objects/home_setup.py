"""Home automation, as the operator sees it; whether it is open is port_open's.

Manufacturer specific: 0-0:128.7.E. The broker and its password are the customer's: nobody reads
or writes them here.
"""

from ams.objects.view import Data


class HomeState(Data):
    """As "connected", or "waiting: refused: not authorized"."""

    def value(self, out):
        out.visible(self.meter.home.state.encode())


class HomePublished(Data):
    """Messages since power-up."""

    def value(self, out):
        out.uint32(self.meter.home.published & 0xFFFFFFFF)
