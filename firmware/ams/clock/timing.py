"""The one way for all that tell the meter the time: clients, servers, and the board's clock chip.

What is small is slewed, and nothing is marked or logged: as much as a crystal can be wrong. More
is a step: the clock is set, what it touches is marked, and there are two events. See docs/clock.md.
"""

from micropython import const

from ams.clock.local import STATUS_DOUBTFUL, STATUS_INVALID
from ams.clock.meter_clock import SLEW_MOST_MS
from ams.events import events as ev

# Of what is slewed for clients and nobody is told: 10 s at once, from then on 100 ppm of what
# passes. A server that anybody can play has 2 s and 50 ppm, and teaches no more drift than that.
_CLIENT_PER = const(10000)
_SERVER_MS = const(2000)
_SERVER_PER = const(20000)
_SERVER_PPB = const(50000)
# The chip is set when it is off by so much from what is shown.
_CHIP_MS = const(500)
_LOOK_MS = const(10000)


class Allowance:
    """`most_ms` at once, from then on one in `per` of the time that passes."""

    def __init__(self, most_ms, per):
        self._most_ms = most_ms
        self._per = per
        self._until_ms = 0

    def take(self, ms, lived_ms):
        """Whether so much is left; then it is used up."""
        debt = max(self._until_ms - lived_ms, 0) + ms * self._per
        if debt > self._most_ms * self._per:
            return False
        self._until_ms = lived_ms + debt
        return True


class Timing:
    def __init__(self, meter, clock):
        self._meter = meter
        self._board_clock = clock
        self._clients = Allowance(SLEW_MOST_MS, _CLIENT_PER)
        self._servers = Allowance(_SERVER_MS, _SERVER_PER)
        self._fault = 0  # of the chip, as it was told
        self._refused = False  # a server was, as it was told
        self._kept_ms = 0  # what the chip was set to, less the board's clock
        self.due_ms = 0  # of the board's clock: when to look again

    def start(self, raw_ms):
        """Power-up."""
        self.due_ms = raw_ms + _LOOK_MS

    def take(self, raw_ms, true_ms):
        """The time, from who may set it. False: it was stepped too often this hour."""
        meter = self._meter
        clock = meter.clock
        meter.recorder.ahead_ms = 0
        step = true_ms - clock.utc_ms(raw_ms)
        if not clock.status & STATUS_INVALID and -SLEW_MOST_MS <= step <= SLEW_MOST_MS:
            gone = abs(step - clock.left_ms(raw_ms))
            if self._clients.take(gone, meter.own_time.lived(raw_ms)):
                self._slew(raw_ms, true_ms, 0)
                return True
        if not meter.recorder.may_set_clock(raw_ms, true_ms):
            return False
        # A month's drift may be a step: it teaches all the same.
        clock.learn(raw_ms, step)
        meter.set_clock(raw_ms, true_ms, True)
        return True

    def hear(self, raw_ms, true_ms, unsure_ms):
        """The time within `unsure_ms`, from a server that nobody vouches for: it slews a little,
        and sets nothing. False: it is refused."""
        meter = self._meter
        clock = meter.clock
        error = clock.error_ms(raw_ms, true_ms, unsure_ms)
        gone = abs(error - clock.left_ms(raw_ms)) if error else 0
        if (
            clock.status & STATUS_INVALID
            or gone > _SERVER_MS
            or not self._servers.take(gone, meter.own_time.lived(raw_ms))
        ):
            if not self._refused:
                self._refused = True
                meter.say("clock: the time server is %d ms off: not followed" % error)
            return False
        self._refused = False
        self._slew(raw_ms, true_ms, unsure_ms, _SERVER_PPB)
        return True

    def _slew(self, raw_ms, true_ms, unsure_ms, *most_ppb):
        meter = self._meter
        meter.clock.sync(raw_ms, true_ms, unsure_ms, *most_ppb)
        meter.local_clock.status = meter.clock.status
        meter.wake()

    def moved(self, raw_ms):
        """The clock was set: a board that has a clock chip sets it, so that the time outlasts the
        supply."""
        self._keep(self._meter.clock.utc_ms(raw_ms) - raw_ms)

    def _keep(self, offset_ms):
        self._kept_ms = offset_ms
        keep = getattr(self._board_clock, "keep", None)
        if keep:
            keep(offset_ms)

    def look(self, raw_ms):
        """From time to time: how the chip is, and whether it shows what is shown."""
        self.due_ms = raw_ms + _LOOK_MS
        meter = self._meter
        chip = self._board_clock
        ahead_ms = meter.recorder.ahead_ms
        if ahead_ms:
            # The board knows it better.
            meter.recorder.ahead_ms = 0
            meter.clock.begin(raw_ms, meter.clock.utc_ms(raw_ms), -ahead_ms)
        fault = getattr(chip, "fault", 0)
        if fault != self._fault:
            code = ev.CLOCK_CHIP_ERROR if fault else ev.CLOCK_CHIP_BACK
            meter.events.log(meter.utc_ms, code, fault or self._fault)
            self._fault = fault
        unknown = meter.clock.status & (STATUS_INVALID | STATUS_DOUBTFUL)
        late_ms = getattr(chip, "recovered_ms", None)
        if late_ms is not None:
            # It was not there at power-up.
            chip.recovered_ms = None
            self._kept_ms = late_ms
            if unknown & STATUS_INVALID and raw_ms + late_ms > meter.utc_ms:
                meter.set_clock(raw_ms, raw_ms + late_ms)
            return
        if not unknown & STATUS_INVALID:
            offset_ms = meter.clock.utc_ms(raw_ms) - raw_ms
            if not -_CHIP_MS < offset_ms - self._kept_ms < _CHIP_MS:
                self._keep(offset_ms)
