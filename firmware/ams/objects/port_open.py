"""A port of the meter's, as the operator sets it: open or closed (Data, boolean)."""

from ams.cosem.axdr import BOOLEAN
from ams.objects.view import Data
from ams.results import READ_WRITE_DENIED, AccessError


class PortOpen(Data):
    """`argument` says which of the meter's: one that is a storage.opening.Opening."""

    def _port(self):
        return getattr(self.meter, self.argument)

    def value(self, out):
        out.boolean(self._port().is_open)

    def set(self, attribute, data, who):
        if attribute != 2:
            raise AccessError(READ_WRITE_DENIED)
        is_open = data.integer(BOOLEAN) != 0
        data.end()
        self._port().set_open(is_open)
        self.model.changed(self.ln, attribute)
