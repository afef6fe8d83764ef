"""The meter's main loop on a Pico. What the meter is stands in the settings of its flash."""

import gc
import time

import flash
from board import Board
from micropython import const

from ams.events.events import WATCHDOG_ERROR
from ams.faults import LOOP, MEASURED
from ams.storage.layout import SECURITY
from ams.storage.snapshot import Snapshot, SnapshotError
from drivers.inputs import watch_supply

_PASS_MS = const(25)
# While a client talks at the service port.
_LINK_MS = const(1)
_COLLECT_EVERY = const(40)
# A slice of an erase, with what it takes around it; each pass has time for one.
_ERASE_MS = const(2)
_WRAP = const(0x3FFFFFFF)  # of time.ticks_ms


class Loop:
    def __init__(self, board, meter, config=None):
        from ams.metrology.pulses import PulseOutput
        from drivers.pulse_led import PulseTimer

        self.board = board
        self.meter = meter
        self.pulses = PulseOutput(board.pulse_led)
        self._beat = PulseTimer(self.pulses, getattr(board, "pulse_timer", None))
        self.bench = None
        if board.mailbox is not None:
            from bench import Bench

            self.bench = Bench(board.mailbox, board, meter)
        self._by_ic = hasattr(board.frontend, "poll")
        self._network = None
        if board.has_radio and config:
            from drivers.outside import Outside

            self._network = Outside(board, meter, config, not self._by_ic)
        elif meter.link is not None:
            from drivers.links import Links

            board.links = Links(meter.link, board.service_uart)
        # What a board does between two steps of anything else.
        watch_supply(board, meter)
        flash.waiting = self._meanwhile
        self._was_reset = board.was_reset
        self._passes = 0
        first_ms = board.clock.utc_ms()
        self._first_count_ms = getattr(board.clock, "count_ms", first_ms)
        # A counter that is held against nothing shows the time itself.
        self._time_at = getattr(board.clock, "at", int)
        # A chip of its own goes on, or is set up anew: a reset of ours does nothing for it.
        self._outside = self._by_ic or board.frontend.own_chip
        self._fault = 0  # as the front end has told it
        self._fails = False  # the driver, not what it drives
        if self._by_ic:
            from drivers.ic_reader import IcReader

            self._measure = IcReader(board.frontend, meter, first_ms).read
        else:
            self._measure = self._take_samples
            board.frontend.start()

    def _take_samples(self, raw_ms):
        """Takes what the sampler has; True when something came."""
        frontend = self.board.frontend
        came = False
        count = frontend.SETS_MAX
        # What comes while this runs can wait for the next pass.
        while count == frontend.SETS_MAX:
            count = frontend.read()
            if frontend.fault != self._fault:
                # Before the hole that it makes.
                self._fault = frontend.fault
                self.meter.sample_watch.front_end(self.meter.utc_ms, self._fault)
            if count:
                index = frontend.index
                if frontend.own_chip:
                    after_ms = raw_ms - frontend.behind // 4
                else:
                    # The crystal of the ADC is that of the counter: samples are its time.
                    after_ms = self._time_at(self._first_count_ms + (index + count) // 4)
                try:
                    self.meter.samples(after_ms, index, frontend.samples, count)
                finally:
                    frontend.taken(count)
                came = True
        return came

    def _meanwhile(self):
        """An erase is waited for, which does not happen often: see ams.storage.eraser."""
        self.meter.han_settings.send_meanwhile(self.board.clock.utc_ms())

    def step(self):
        """One pass; False when the bench has ended the run."""
        board = self.board
        meter = self.meter
        raw_ms = board.clock.utc_ms()
        self._beat.show(raw_ms)
        try:
            measured = self._measure(raw_ms)
        except Exception as error:
            # The case, the breaker and the lists have their time all the same.
            meter.faults.take(MEASURED, error)
            measured = False
            self._fails = True
        if (
            measured
            or (self._outside and not self._fails)
            or (self._was_reset and not meter.measured_ms)
        ):
            # Only a meter that measures is alive; but what a reset did not mend, no other will. A
            # metering IC that is silent goes on counting, a converter is set up anew: a reset would
            # cost what came before it.
            board.watchdog.feed()
        if measured:
            self._fails = False
            self.pulses.take(raw_ms, meter.energy.secondary_mwh(), meter.measured_ms)
        meter.tick(raw_ms)
        if self._network is not None:
            self._network.poll(raw_ms)
        elif board.links is not None:
            board.links.poll(time.ticks_ms())
        if meter.display is not None:
            meter.display.poll(raw_ms, meter.case.pressed)
        self._passes += 1
        if self._passes % _COLLECT_EVERY == 0:
            gc.collect()
        return self.bench is None or self.bench.poll()

    def _go(self):
        """A pass that fails is told of. If no measurement comes through, the watchdog ends it."""
        try:
            going = self.step()
            if going:
                self._rest()
            return going
        except Exception as error:
            self.meter.faults.take(LOOP, error)
            time.sleep_ms(_PASS_MS)
            return True

    def _rest(self):
        """Until the next pass: a client that talks is not kept waiting for it, nor a list."""
        links = self.board.links
        left_ms = self.meter.due_in(self.board.clock.utc_ms())
        if not 0 < left_ms < _PASS_MS:
            left_ms = _PASS_MS
        working = False
        while left_ms > _LINK_MS and links is not None and links.busy(time.ticks_ms()):
            begun = time.ticks_ms()
            if not self.meter.nv_memory.erase_on() and not working:
                time.sleep_ms(_LINK_MS)
            working = links.poll(time.ticks_ms())
            left_ms -= time.ticks_diff(time.ticks_ms(), begun)
        left_ms -= self._erase(left_ms)
        if left_ms > 0:
            time.sleep_ms(left_ms)

    def _erase(self, left_ms):
        """What is to be erased ahead, as long as the pass may last. Gives how long it took."""
        begun = time.ticks_ms()
        passed_ms = 0
        while self.meter.nv_memory.erase_on() and left_ms - passed_ms >= _ERASE_MS:
            passed_ms = (time.ticks_ms() - begun) & _WRAP
        return passed_ms

    def run(self):
        while self._go():
            pass


def main(started=None):
    """True when the bench has ended the run; nothing else does."""
    loop = build(Board(started))
    if loop is None:
        return False
    gc.collect()
    gc.threshold(-1)  # from here on by the pass
    loop.run()
    return True


def build(board):
    """The loop of the meter that the settings describe; or None. Their dict is not kept."""
    try:
        config = Snapshot(board.flash).load()
    except SnapshotError as error:
        board.log("meter: %s" % error)
        return None
    if config is None or "system" not in config:
        board.log("meter: not provisioned")
        return None
    if config["system"] == "1P2W":
        import adc

        adc.reserve()
    from ams.meter import Meter

    meter = Meter(board, config)
    try:
        answers = board.make_frontend(meter.calibration, config.get("front_end"))
    except ValueError as error:
        board.log("meter: %s" % error)
        return None
    if not answers:
        board.log("meter: no answer from the metering IC")
    meter.start(board.clock.utc_ms())
    board.was_reset = board.watchdog_bit()
    if board.was_reset:
        meter.events.log(meter.utc_ms, WATCHDOG_ERROR)
    # From here on it measures: the ring of the ADC holds what comes while the rest is done.
    loop = Loop(board, meter, config)
    if config.get("security") and meter.nv_memory.takes(SECURITY):
        # The keys have their own place in the flash by now.
        config["security"] = {}
        meter.nv_memory.save_settings(config)
    if config.get("han_open"):
        meter.han_settings.open_first()
    if config.get("home_open") and meter.home is not None:
        meter.home.open_first()
    if config.get("modbus_open") and meter.modbus is not None:
        meter.modbus.open_first()
    if config.get("display"):
        from drivers import screens

        screens.join(meter, config["display"], board.make_display_bus, board.log)
    return loop
