"""Push setup (class 40): what the meter sends unasked, where to, and how often it tries.

The destination (attribute 3) over TCP is "host:port", or nothing: whoever is associated there.
Over HDLC it is the address octet of a client (05: the reader), who is told unasked, on a line
that is nobody else's; or nothing: the message waits until the line is given to the meter.
"""

from ams.clock import own_time
from ams.clock.local import civil
from ams.cosem import datetime
from ams.cosem.axdr import ENUM, UINT8, UINT16, Full, Reader
from ams.objects import stored
from ams.objects.stored import Stored
from ams.objects.view import no_parameter
from ams.results import OTHER_REASON, READ_WRITE_DENIED, TEMPORARY_FAILURE, AccessError

# Transports (IEC 62056-6-2, push setup).
TRANSPORT_TCP = 0
TRANSPORT_HDLC = 5
_OBJECTS = 16
_WINDOWS = 4
_DESTINATION = 40


def _entry(class_id, ln, attribute, index=0):
    head = b"\x02\x04\x12" + bytes((class_id >> 8, class_id & 0xFF)) + b"\x09\x06" + ln
    return head + bytes((15, attribute, 18, index >> 8, index & 0xFF))


_WHO = (
    _entry(1, b"\x00\x00\x2a\x00\x00\xff", 2)  # logical device name
    + _entry(8, b"\x00\x00\x01\x00\x00\xff", 2)  # clock
)
_INTERVALS = (
    b"\x01\x04"
    + _entry(40, b"\x00\x00\x19\x09\x00\xff", 1)
    + _WHO
    + _entry(7, b"\x01\x00\x63\x01\x00\xff", 2, 4)  # the last four intervals
)
_ALARMS = (
    b"\x01\x05"
    + _entry(40, b"\x00\x04\x19\x09\x00\xff", 1)
    + _WHO
    + _entry(1, b"\x00\x00\x61\x62\x00\xff", 2)  # alarm register
    + _entry(70, b"\x00\x00\x60\x03\x0a\xff", 3)  # breaker
)
_DEFAULTS = (
    None,
    b"\x02\x03\x16\x05\x09\x00\x16\x00",  # the service port, A-XDR
    b"\x01\x00",  # at any time
    b"\x12\x00\x00",
    b"\x11\x03",
    b"\x12\x00\x3c",
)


class PushSetup(Stored):
    """`argument`: the first of its cells. 0-0:25.9.0 sends intervals, 0-4:25.9.0 alarms."""

    class_id = 40
    attributes = 7
    methods = 1

    def is_alarm(self):
        return self.ln[1] == 4

    def default(self, attribute):
        if attribute == 2:
            return _ALARMS if self.is_alarm() else _INTERVALS
        return _DEFAULTS[attribute - 2]

    def check(self, attribute, data):
        if attribute == 2:
            for _ in range(data.array(_OBJECTS)):
                class_id, ln, attribute, _ = stored.capture_object(data)
                self._check_object(class_id, ln, attribute)
        elif attribute == 3:
            data.structure(3)
            transport = data.integer(ENUM)
            if transport not in (TRANSPORT_TCP, TRANSPORT_HDLC):
                raise AccessError(OTHER_REASON)
            destination = stored.name(data, _DESTINATION)
            if transport == TRANSPORT_HDLC and destination:
                self._check_client(destination)
            if data.integer(ENUM):
                raise AccessError(OTHER_REASON)
        elif attribute == 4:
            for _ in range(data.array(_WINDOWS)):
                data.structure(2)
                stored.date_time(data)
                stored.date_time(data)
        elif attribute in (5, 7):
            data.integer(UINT16)
        elif attribute == 6:
            if data.integer(UINT8) > 20:
                raise AccessError(OTHER_REASON)
        else:
            raise AccessError(READ_WRITE_DENIED)

    def _check_client(self, destination):
        """On HDLC a destination is the address of a client that has keys."""
        link = self.meter.link
        client = None
        if link is not None and len(destination) == 1 and destination[0] & 1:
            client = link.keyring.client(destination[0] >> 1)
        if client is None or client.keys is None:
            raise AccessError(OTHER_REASON)

    def _check_object(self, class_id, ln, attribute):
        """Only what the reader may read is ever sent."""
        thing, rights = self.model.find(class_id, ln)
        who = self.model.push_client()
        if not 1 <= attribute <= thing.attributes or not rights.may_read(attribute, who):
            raise AccessError(READ_WRITE_DENIED)

    def is_good(self, attribute, value):
        # What it may send no more goes out as null.
        return attribute == 2 or super().is_good(attribute, value)

    def store(self, attribute, value):
        super().store(attribute, value)
        if attribute == 4:
            self.model.bind(self._windows())

    def _windows(self):
        return own_time.WINDOWS + (1 if self.is_alarm() else 0)

    def call(self, method, data, out, who):
        if method != 1:
            raise AccessError(READ_WRITE_DENIED)
        no_parameter(data)
        if not self.model.push.ask(self.is_alarm()):
            raise AccessError(TEMPORARY_FAILURE)

    # --- what the sender asks ------------------------------------------------------------

    def destination(self):
        """(transport, destination)"""
        data = Reader(self.value(3))
        data.structure(3)
        return data.integer(ENUM), bytes(data.octets())

    def randomisation_s(self):
        return Reader(self.value(5)).integer(UINT16)

    def retries(self):
        return Reader(self.value(6)).integer(UINT8)

    def retry_delay_s(self):
        return Reader(self.value(7)).integer(UINT16)

    def is_open(self):
        """Whether now lies in a communication window, by their own time; without any it does."""
        data = Reader(self.value(4))
        count = data.array(_WINDOWS)
        own_ms = self.model.own_ms(self._windows())
        for _ in range(count):
            data.structure(2)
            begin = bytes(data.octets(12))
            end = bytes(data.octets(12))
            if self._has_come(begin, own_ms) and not self._has_come(end, own_ms):
                return True
        return count == 0

    def _has_come(self, octets, own_ms):
        """Whether a date-time lies behind; what it leaves open is as it is now."""
        clock = self.meter.local_clock
        if datetime.complete(octets) and octets != bytes(12):
            return datetime.parse(octets, clock) <= own_ms
        now = civil(clock.local_ms(own_ms))
        if octets[3] == 0xFF and octets[4] not in (0xFF, 0, now[3]):
            # Another day of the week.
            return False
        known = now[:3] + now[4:7]
        return _moment(octets, known) <= known

    def write(self, out):
        """The body: one value for each object of the list."""
        data = Reader(self.value(2))
        count = data.array(_OBJECTS)
        out.structure(count)
        size = out.size
        for left in range(count - 1, -1, -1):
            class_id, ln, attribute, index = stored.capture_object(data)
            at = out.length
            # Each of those behind has an octet left: what does not fit is null.
            out.size = size - left
            try:
                self._write_one(class_id, ln, attribute, index, out)
            except (AccessError, Full):
                out.length = at
                out.null()

    def _write_one(self, class_id, ln, attribute, index, out):
        selection = None
        if class_id == 7 and attribute == 2:
            # The index counts the newest entries.
            count = self.model.find(7, ln)[0].entries_in_use()
            first = max(count - max(index, 1), 0) + 1
            octets = first.to_bytes(4, "big")
            head = b"\x02\x02\x04\x06" + octets
            selection = Reader(head + b"\x06\x00\x00\x00\x00\x12\x00\x01\x12\x00\x00")
        who = self.model.push_client()
        pieces = self.model.get(class_id, ln, attribute, who, out, selection)
        if pieces is not None:
            for _ in pieces:
                pass


def _moment(octets, known):
    """A comparable moment of a date-time; what it leaves open is as in `known`."""
    fields = [octets[0] << 8 | octets[1], octets[2], octets[3], octets[5], octets[6], octets[7]]
    for k in range(6):
        if fields[k] in (0xFF, 0xFFFF):
            fields[k] = known[k]
    if fields[1]:
        fields[2] = datetime.day_of(fields[0], fields[1], fields[2], octets[4])
    return tuple(fields)
