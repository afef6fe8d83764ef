"""A whole meter on a small flash, with its objects, its link and an operator. For both VMs."""

import struct

from ams.cosem.access import OPERATOR
from ams.meter import Meter
from amsbench.hold import hold

try:
    from flash_lab import MINUTE_MS, START_MS, LabBoard, LabFlash, set_power
    from server_lab import Operator, security
except ImportError:
    from openams.faultlab.flash_lab import MINUTE_MS, START_MS, LabBoard, LabFlash, set_power
    from openams.faultlab.server_lab import Operator, security

_SECTORS = 48
_MINUTES = 90


class LinkBoard(LabBoard):
    """A board with a two-way link; octets that go out are counted."""

    def __init__(self, flash, random, log):
        super().__init__(flash)
        self.entropy = random
        self.log = log
        self.octets = 0

    def link_write(self, channel, data):
        self.octets += len(data)

    def link_close(self, channel):
        pass


def calibration():
    channels = []
    for _ in range(3):
        channels.append({"kind": "voltage", "lsb_pv": 100000000})
        channels.append({"kind": "current", "lsb_pa": 40000000})
    return {
        "sample_rate_hz": 4000,
        "full_scale": 8388607,
        "starting_power_mva": 700,
        "channels": channels,
    }


class MeterLab:
    """`server` and `complaints` as the laboratory's server has them; `minute` lets it live."""

    def __init__(self, random):
        self.complaints = []
        flash = LabFlash(_SECTORS)
        for number in range(_SECTORS):
            flash.writable(number)  # all there from the start: what grows later is the meter
        self.board = LinkBoard(flash, random, self.complaints.append)
        config = {
            "system": "3P4W",
            "calibration": calibration(),
            "identity": {"meter_id": "7359990000000017", "meter_type": "LAB"},
            "han": {"format": "kaifa"},
            "security": security(),
        }
        self.meter = Meter(self.board, config)
        self.server = self.meter.link.server
        self._raw_ms = START_MS
        self.meter.start(self._raw_ms)
        for _ in range(_MINUTES):
            self.minute()
        self.complaints.clear()

    def minute(self):
        """A minute of 6 kW; gives how much A+ and A- grew, in mWh."""
        before = sum(self.meter.energy.mwh[:2])
        set_power(self.meter, 6000)
        hold(self.meter, self._raw_ms, MINUTE_MS, self.board.clock)
        self._raw_ms += MINUTE_MS
        self.meter.tick(self._raw_ms)
        return sum(self.meter.energy.mwh[:2]) - before

    def targets(self):
        """(readable, writable, callable) for the operator: class, logical name and number.

        The first are all attributes, and one more than there are.
        """
        read, write, call = [], [], []
        for class_id, _, ln, attributes, _, rights in self.meter.model.rows(OPERATOR):
            head = struct.pack(">H", class_id) + bytes(ln)
            for number in range(1, attributes + 2):
                read.append(head + bytes((number,)))
            for table, out in ((rights.writes, write), (rights.calls, call)):
                for number, mask in table.items():
                    if mask & OPERATOR:
                        out.append(head + bytes((number,)))
        return read, write, call


__all__ = ["MeterLab", "Operator"]
