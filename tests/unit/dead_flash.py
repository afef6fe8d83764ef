"""A flash that takes nothing any more, under every request that changes something. On either VM.

`run()` gives how many changes were tried; raises AssertionError where one is an error of ours.
"""

from listed import Lists

from ams.events.events import NV_MEMORY_ERROR
from ams.storage import layout

_SECTOR = 4096
_GET_CLOCK = b"\xc0\x01\xc1\x00\x08\x00\x00\x01\x00\x00\xff\x02\x00"
_OTHER = b"\xd8\x01\x03"
_HARDWARE_FAULT = 1


class Dying:
    """Makes programs and erases of a flash fail, but for the sectors from `alive[0]` on."""

    def __init__(self, flash, raises, alive=(0, 0)):
        first, count = alive
        program, erase = type(flash).program, type(flash).erase
        self.flash = flash
        self.refused = 0

        def lives(address):
            if first <= address // _SECTOR < first + count:
                return True
            self.refused += 1
            if raises:
                raise OSError(5)
            return False

        def take(address, data):
            if lives(address):
                program(flash, address, data)

        def clear(address):
            if lives(address):
                erase(flash, address)

        flash.program = take
        flash.erase = clear

    def heal(self):
        del self.flash.program
        del self.flash.erase


def _ring(lab, wanted):
    for region, first, count in layout.layout(lab.flash.size // _SECTOR):
        if region == wanted:
            return first, count
    raise ValueError(wanted)


def run():
    lists = Lists()
    lab = lists.lab
    count = 0
    for role, head, _, number, method in list(lab.changes()):
        value = lists.value(role, head, number, method)
        request = b"\xc3\x01\xc1" if method else b"\xc1\x01\xc1"
        request += head + bytes((number,)) + (b"\x01" if method else b"\x00") + value
        for raises, alive in ((False, (0, 0)), (True, (0, 0)), (True, _ring(lab, layout.SECURITY))):
            client = lists.anew(role)
            before = lists.kept()
            dying = [Dying(lab.flash, raises, alive), Dying(lab.slots, raises)]
            answer = lab.ask(client, request)
            if not alive[1]:
                # The number of the request cannot be kept: nothing is done.
                assert answer == _OTHER, answer
                assert lists.kept() == before
                codes = [event[1] for event in lab.meter.events.entries()]
                assert NV_MEMORY_ERROR in codes
            else:
                assert answer[:3] in (b"\xc5\x01\xc1", b"\xc7\x01\xc1"), answer
                done = answer[3] == 0
                assert done or answer[3] in (_HARDWARE_FAULT, 3, 250), (head, number, answer)
            if lab.server.keyring.client(client.sap).keys.encryption == client.keys[0]:
                assert lab.ask(client, _GET_CLOCK)[:4] == b"\xc4\x01\xc1\x00"
            grown = lab.minute()
            assert 99990 < grown < 100010, grown
            faults = lab.server.faults + lab.meter.faults.count + lab.model.faults
            assert not faults, (head, number, lab.complaints)
            lab.complaints.clear()
            for one in dying:
                one.heal()
        count += 1
    return count
