"""The HAN port: closed until it is opened, every list on its own schedule.

Lists are due at whole multiples of their period, the hourly one some seconds
after the hour (the format's `hourly_ms`); being late once shifts nothing.
Where lists are due together the largest is sent alone, as the meters do. A
frame shows the time it was due. The port only ever sends.
"""

from micropython import const

from ams.events import events as ev
from ams.han.list_axdr import Writer
from ams.han.list_view import View
from ams.han.quirk import Quirk

_HOUR_MS = const(3600000)


class HanPort:
    """`uart` is a hal.Uart; `list_format` one of make_format's.

    `cipher` (see cipher.py) encrypts every list. `sent` counts lists 1 to 3,
    `missed` those whose successor was due before they could be sent, and
    those that the line had no room for: a list goes whole or not at all.
    `summer_time` is whether its time has summer time; None leaves that to the
    format.
    """

    def __init__(
        self,
        uart,
        list_format,
        quantities,
        registers,
        identity,
        local_clock,
        events=None,
        quirk=None,
        cipher=None,
        seed=1,
        summer_time=None,
    ):
        self._uart = uart
        self._events = events
        self.view = View(quantities, registers, identity, local_clock)
        self.cipher = cipher
        self._summer_time = summer_time
        self._true_format = list_format
        self._quirk = make_quirk(quirk, self, seed)
        self.is_open = False
        self.use(self._quirk.list_format(list_format))
        if cipher is not None and not self.may_cipher:
            raise ValueError("HAN format %s is not encrypted" % self.format.name)
        self.sent = [0, 0, 0]
        self.missed = 0
        self.late_max_ms = 0
        self._next_ms = None
        self._polled_ms = 0

    def use(self, list_format):
        """The lists and the line that are sent from now on."""
        self.format = list_format
        self._writer = Writer(bytearray(list_format.largest))
        self._frame = memoryview(self._writer.buffer)
        # Such a format gives what is sealed first, and frames it then.
        self._frames = getattr(list_format, "frame", None)
        self.view.follow(self.summer_time)
        self._next_ms = None
        if self.is_open:
            self._set_line()

    @property
    def may_cipher(self):
        """Encryption is for DLMS, not for text and SML."""
        return self.format.ciphered

    # --- time ------------------------------------------------------------------

    @property
    def summer_time(self):
        on = self._summer_time
        return self.format.summer_time if on is None else on

    @summer_time.setter
    def summer_time(self, on):
        """None: as the maker's meters do."""
        self._summer_time = on
        self.view.follow(self.summer_time)

    # --- open and closed -----------------------------------------------------

    def open(self, utc_ms):
        """The grid operator opens the port."""
        if self.is_open:
            return
        self.is_open = True
        self._next_ms = None
        self._quirk.start(utc_ms)
        self._set_line()
        self._log(utc_ms, ev.HAN_OPENED)

    def _set_line(self):
        baudrate, bits, parity, stop = self._quirk.line(self.format.line)
        self._uart.init(baudrate, bits, parity, stop)

    def misbehave(self, quirk, utc_ms):
        """Another misbehaviour from now on, for a bench; what the last one did is undone."""
        self._quirk = quirk
        view = self.view
        view.energy_factor = view.voltage_factor = view.power_factor = 1
        self.use(quirk.list_format(self._true_format))
        quirk.start(utc_ms)

    def close(self, utc_ms):
        if not self.is_open:
            return
        self.is_open = False
        self._log(utc_ms, ev.HAN_CLOSED)

    def _log(self, utc_ms, code):
        if self._events is not None:
            self._events.log(utc_ms, code)

    def clock_set(self):
        """What is due is so by the new time; what lies between was never missed."""
        self._next_ms = None

    # --- schedule --------------------------------------------------------------

    def _after(self, utc_ms):
        """The first due time after `utc_ms`."""
        due = None
        for period, _ in self.format.schedule:
            at = utc_ms - utc_ms % period + period
            if due is None or at < due:
                due = at
        if self.format.hourly:
            since = (utc_ms - self.format.hourly_ms) % _HOUR_MS
            at = utc_ms - since + _HOUR_MS
            if at < due:
                due = at
        return due

    def _list_at(self, due_ms):
        """The largest list that is due at a due time."""
        if self.format.hourly and (due_ms - self.format.hourly_ms) % _HOUR_MS == 0:
            return self.format.hourly
        list_no = 0
        for period, number in self.format.schedule:
            if due_ms % period == 0 and number > list_no:
                list_no = number
        return list_no

    def _period(self, list_no):
        for period, number in self.format.schedule:
            if number == list_no:
                return period
        return _HOUR_MS

    def next_due_ms(self):
        """When `poll` has something to do next."""
        if not self.is_open and type(self._quirk) is Quirk:
            return self._polled_ms + _HOUR_MS
        if self._next_ms is None:
            return self._polled_ms
        return self._next_ms

    def poll(self, utc_ms):
        """Sends what is due. Call it often: a list waits for the call."""
        if not self.is_open and type(self._quirk) is Quirk:
            self._polled_ms = utc_ms
            return
        if self._next_ms is None or utc_ms < self._polled_ms or utc_ms - self._next_ms > _HOUR_MS:
            # Power-up, or another time: take up the schedule from here.
            self._next_ms = self._after(utc_ms - 1)
        self._polled_ms = utc_ms
        while self._next_ms <= utc_ms:
            due = self._next_ms
            self._quirk.tick(due)
            self._next_ms = self._after(due)
            list_no = self._list_at(due)
            if not self.is_open or not list_no:
                continue
            if utc_ms - due >= self._period(list_no):
                self.missed += 1  # its successor is due already
                continue
            if utc_ms - due > self.late_max_ms:
                self.late_max_ms = utc_ms - due
            self.push(list_no, due)

    # --- sending -----------------------------------------------------------------

    def push(self, list_no, utc_ms):
        """Sends one list now, showing `utc_ms`. A closed port sends nothing."""
        if not self.is_open:
            return
        view = self.view
        view.stale = list_no == 3 and self._quirk.repeats_hour(utc_ms, view)
        length = self.format.encode(list_no, self._writer, view, utc_ms)
        if list_no == 3 and not view.stale:
            view.keep_hour()
        view.stale = False
        frame = self._frame[:length]
        if self.cipher is not None:
            if self.cipher.used_up():
                # No counter may serve twice: without new keys the port stays shut.
                self.close(utc_ms)
                return
            if self._frames is None:
                frame = self.cipher.wrap(frame)
        if self._frames is not None:
            frame = self._frames(frame, self.cipher)
        if self._quirk.send(frame, utc_ms, self._uart) is False:
            self.missed += 1
        else:
            self.sent[list_no - 1] += 1

    def supply_back(self, utc_ms):
        """The supply was gone for a moment: what a quirk has stuck comes loose."""
        self._quirk.start(utc_ms)

    def rekey(self):
        """The next key of the cipher comes into force."""
        if self.cipher is not None:
            self.cipher.next_key()


def make_quirk(name, port, seed):
    """A quirk by name; None gives none. Raises ValueError for an unknown one."""
    if name is None:
        return Quirk()
    # Only what misbehaves loads the ways in which it can.
    from ams.han import quirks

    return quirks.make(name, port, seed)
