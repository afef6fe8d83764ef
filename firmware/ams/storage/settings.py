"""What the operator has set, in cells of the flash: small records that outlive a power cut.

Every value begins with its version (one octet); one of an unknown version is
as if it had never been set.
"""

from micropython import const

from ams.results import HARDWARE_FAULT, AccessError

# Numbers of the cells.
ALARM_FILTER = const(1)
ALARMS = const(2)  # the register: what happened since it was cleared
HAN_PORT = const(3)
HAN_KEYS = const(4)  # and the first invocation counter that was not used
HDLC = 5
TCP = 6
LOCAL_PORT = 7
READOUT = 8  # at the optical port
SPECIAL_DAYS = 9
HAN_OUTAGES = const(10)  # registers.outages
MODBUS = const(12)
HOME = const(11)  # open or closed
HOME_BROKER = const(13)  # JSON of the set-up page: home.broker
HOME_WIFI = const(14)  # JSON: ssid and password
CALENDAR = const(16)  # + which bank is active, two banks of four, when to change
PUSH = const(32)  # + 8 x setup + attribute 2 to 7
SCHEDULE = const(64)  # + number of the schedule
MBUS = const(96)  # + channel

_VERSION = b"\x01"
# Times of the schedule that ends the billing period, before it is set: 00:00 on the first.
EACH_MONTH = b"\x01\x01\x02\x02\x09\x04\x00\x00\x00\x00\x09\x05\xff\xff\xff\x01\xff"


class Settings:
    # For the objects, which do not import this.
    HDLC = HDLC
    TCP = TCP
    LOCAL_PORT = LOCAL_PORT
    READOUT = READOUT
    SPECIAL_DAYS = SPECIAL_DAYS
    EACH_MONTH = EACH_MONTH

    """`cells`: get(key), set(key, value); None until the flash is mounted keeps nothing."""

    def __init__(self, cells):
        self._cells = cells

    def get(self, key, default=None):
        value = self._cells.get(key)
        if value is None or value[:1] != _VERSION:
            return default
        return value[1:]

    def any(self, first, count):
        """Whether one of `count` values from `first` on has been set."""
        return any([self.get(key) is not None for key in range(first, first + count)])

    def ends_with_month(self):
        """Whether the billing period does: the accounts end it, with or without supply."""
        return self.get(SCHEDULE, EACH_MONTH) == EACH_MONTH

    def set(self, key, value):
        """Raises AccessError when the flash does not take it: then the old value stands."""
        try:
            self._cells.set(key, _VERSION + bytes(value))
        except OSError:
            raise AccessError(HARDWARE_FAULT)
