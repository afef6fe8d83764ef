"""Image transfer (class 18). The meter's updater does the work; a board without slots has none.

Manufacturer specific: 0-0:128.4.0, which code runs.
"""

from ams.cosem.axdr import BOOLEAN, UINT32
from ams.objects.view import Data, View, no_parameter
from ams.results import READ_WRITE_DENIED, SUCCESS, TYPE_UNMATCHED, AccessError

_DEFAULT_BLOCK = 64
_PIECE = 256


class ImageTransfer(View):
    class_id = 18
    attributes = 7
    methods = 4

    def read(self, attribute, out):
        updater = self.meter.updater
        if attribute == 2:
            out.uint32(updater.block_size if updater else _DEFAULT_BLOCK)
        elif attribute == 3:
            return self._blocks(updater, out)
        elif attribute == 4:
            out.uint32(updater.first_missing() if updater else 0)
        elif attribute == 5:
            out.boolean(bool(updater and updater.enabled))
        elif attribute == 6:
            out.enum(updater.status if updater else 0)
        else:
            self._images(updater, out)
        return None

    def _blocks(self, updater, out):
        """A bit for each block, the first in the highest."""
        blocks = updater.blocks if updater else 0
        out.octet(4)
        out.count(blocks)
        for number, octet in enumerate(updater.bitmap() if blocks else ()):
            out.octet(octet)
            if number % _PIECE == _PIECE - 1:
                yield

    def _images(self, updater, out):
        image = updater.image if updater else None
        out.array(1 if image else 0)
        if image:
            out.structure(3)
            out.uint32(image.size)
            out.octets(updater.identifier)
            out.octets(image.signature)

    def set(self, attribute, data, who):
        updater = self._updater()
        if attribute == 5:
            updater.enabled = data.integer(BOOLEAN) != 0
        elif attribute == 2:
            self._do(updater.set_block_size, data.integer(UINT32))
        else:
            raise AccessError(READ_WRITE_DENIED)
        data.end()

    def call(self, method, data, out, who):
        updater = self._updater()
        if data is None and method in (1, 2):
            raise AccessError(TYPE_UNMATCHED)
        if method == 1:
            data.structure(2)
            identifier = bytes(data.octets())
            size = data.integer(UINT32)
            data.end()
            self._do(updater.initiate, identifier, size)
        elif method == 2:
            data.structure(2)
            number = data.integer(UINT32)
            block = data.octets()
            data.end()
            self._do(updater.put, number, block)
        elif method == 3:
            no_parameter(data)
            # While it goes on, beside the measuring, the answer is to ask again.
            self._do(updater.verify)
        else:
            no_parameter(data)
            self._do(updater.activate)

    def _updater(self):
        if self.meter.updater is None:
            raise AccessError(READ_WRITE_DENIED)
        return self.meter.updater

    def _do(self, action, *parameters):
        result = self.meter.updater.do(action, *parameters)
        if result != SUCCESS:
            raise AccessError(result)


class FirmwareState(Data):
    """Slot that runs for good (0: the base), slot on trial, its starts that are left, floor."""

    def value(self, out):
        updater = self.meter.updater
        switch = updater.switch if updater else None
        out.structure(4)
        out.uint8(switch.confirmed if switch else 0)
        out.uint8(switch.trial if switch else 0)
        out.uint8(switch.tries if switch else 0)
        out.uint32(switch.floor if switch else 0)
