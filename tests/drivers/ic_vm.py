"""The metering IC on a bus as it is, on either VM: nothing is believed that it did not say.

Every `check_` function is one test; `main()` runs them all and prints their number.
"""

import math

import signals_vm
from icbus import Bus

from ams.events import events as ev
from ams.metrology import quantities as qu
from ams.metrology.calibration import Calibration
from ams.metrology.quantities import Quantities
from ams.registers.energy import R_Q1, R_Q2, R_Q3, R_Q4, EnergyRegisters
from drivers import atm90e32
from drivers.ic_reader import IcReader
from openams.emulator.models.atm90e32 import Atm90e32 as Model

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab

COUNT_UWS = 11250000
START_MS = 840000000000
PERIOD_MS = 225


class Rig:
    def __init__(self, system="3P4W", **more):
        record = atm90e32.default_calibration(system)
        record.update(more)
        self.system = system
        self.model = Model()
        self.bus = Bus(self.model)
        self.driver = atm90e32.Atm90e32(
            self.bus, self.bus.select, Calibration(system, record), (0x8000, 0x8000), lambda ms: 0
        )
        assert self.driver.begin()
        self.q = Quantities(system)
        self.made = [0, 0]  # counts, net, since the beginning
        self.active = self.reactive = 0

    def load(self, watts=3450.0, var=900.0, volts=230.0):
        s = math.sqrt(watts * watts + var * var)
        self.model.set_quantities(
            [round(1000 * volts)] * 3,
            [round(1e6 * s / 3 / volts)] * 3,
            [1000 * watts / 3] * 3,
            [1000 * var / 3] * 3,
        )

    def step(self, ms=PERIOD_MS):
        """Time passes and the meter polls; whether the IC answered."""
        before = self._counted()
        self.model.advance(1000 * ms)
        after = self._counted()
        for k in range(2):
            self.made[k] += after[k] - before[k]
        return self.poll()

    def _counted(self):
        e = self.model._energy
        return (
            e.get(0x80, 0) - e.get(0x84, 0),
            e.get(0x88, 0) - e.get(0x8C, 0),
        )

    def poll(self):
        if not self.driver.poll(self.q):
            return False
        self.active += self.driver.active_uws
        self.reactive += self.driver.reactive_uvars
        return True

    def shown(self):
        q = self.q
        return (
            list(q.voltage_mv), list(q.current_ua), list(q.active_power_mw),
            list(q.reactive_power_mvar), q.total_active_power_mw, q.frequency_mhz,
        )  # fmt: skip

    def missing(self):
        """Counts that were made and did not come: (active, reactive)."""
        return (
            self.made[0] - self.active // COUNT_UWS,
            self.made[1] - self.reactive // COUNT_UWS,
        )


def since(rig, before):
    """Counts that were made and did not come since `missing` said `before`."""
    after = rig.missing()
    return [after[k] - before[k] for k in range(2)]


def quiet_poll(rig):
    """(number of exchanges of a poll, what it shows)"""
    rig.load()
    for _ in range(3):
        assert rig.step()
    begin = rig.bus.count
    assert rig.step()
    return rig.bus.count - begin, rig.shown()


def check_no_single_bit_becomes_a_measurement():
    """Each bit of each answer of a poll is wrong once."""
    rig = Rig()
    exchanges, shown = quiet_poll(rig)
    driver = rig.driver
    driver.elapsed_ms = PERIOD_MS
    for number in range(exchanges):
        for bit in range(number % 3, 16, 3):
            at = rig.bus.count + number

            def turn(count, at=at, bit=bit):
                rig.bus.sent = 1 << bit if count == at else 0

            rig.bus.hook = turn
            assert rig.step(), (number, bit)
            assert rig.shown() == shown, (number, bit, rig.shown())
            assert driver.status == 0 and rig.missing() == (0, 0), (number, bit)
    assert driver.resets == 1


def check_no_bit_that_the_ic_mishears_invents_anything():
    """Another register is read, or one is written: energy that this costs is told."""
    rig = Rig()
    exchanges, shown = quiet_poll(rig)
    driver = rig.driver
    driver.elapsed_ms = PERIOD_MS
    told = lost = 0
    for number in range(exchanges):
        for bit in range(16 + number % 2, 32, 2):
            at = rig.bus.count + number

            def turn(count, at=at, bit=bit):
                rig.bus.heard = 1 << bit if count == at else 0

            rig.bus.hook = turn
            before = rig.missing()
            answered = rig.step()
            rig.bus.hook = None
            if answered:
                assert rig.shown() == shown, (number, bit, rig.shown())
            missing = driver.status & qu.STATUS_SAMPLES_MISSING
            if not answered:
                assert rig.step(), (number, bit)
                missing |= driver.status & qu.STATUS_SAMPLES_MISSING
            short = since(rig, before)
            told += missing != 0
            # One lump either way: it is counted with the next poll.
            if abs(short[0]) > 1 or abs(short[1]) > 1:
                lost += 1
                assert missing, (number, bit, short)
            assert driver.status & ~qu.STATUS_SAMPLES_MISSING == 0
    # Most of them cost nothing.
    assert lost <= told <= 40, (lost, told)
    assert driver.resets == 1


def check_a_line_that_dies_anywhere_in_a_poll_invents_nothing():
    for level in (0, 1):
        rig = Rig()
        exchanges, shown = quiet_poll(rig)
        for number in range(exchanges):
            at = rig.bus.count + number

            def die(count, at=at, level=level, model=rig.model):
                if count == at:
                    model.stuck = level

            before = rig.missing()
            rig.bus.hook = die
            assert not rig.step(), (level, number)
            rig.bus.hook = None
            assert not rig.poll() and not rig.poll()
            rig.model.stuck = None
            rig.load(3450.0, 900.0)
            assert rig.step()
            assert rig.shown() == shown
            missing = rig.driver.status & qu.STATUS_SAMPLES_MISSING
            short = since(rig, before)
            assert min(short) >= -1, (level, number, short)
            assert missing or max(short) <= 1, (level, number, short)
            assert rig.step() and not rig.driver.status
        # A dead line is no IC that has lost its settings.
        assert rig.driver.resets == 1


def check_an_ic_that_resets_anywhere_in_a_poll_is_told_once():
    rig = Rig()
    exchanges, shown = quiet_poll(rig)
    for number in range(0, exchanges, 3):
        at = rig.bus.count + number

        def reset(count, at=at):
            if count == at:
                rig.model.power_up()

        rig.bus.hook = reset
        told = 0
        for _ in range(4):
            rig.load()
            if rig.step():
                told += rig.driver.status & qu.STATUS_SAMPLES_MISSING != 0
                assert rig.shown() == shown, (number, rig.shown())
                assert rig.driver.active_uws <= 4 * 3450000 * PERIOD_MS
        assert told == 1, (number, told)
        rig.bus.hook = None


def check_a_noisy_bus_for_an_hour():
    """One octet in 300 comes wrong, one in 3000 is misheard; loads change, readings scatter."""
    rig = Rig()
    model = rig.model
    rig.load()
    assert rig.step()
    rig.driver.elapsed_ms = PERIOD_MS
    model.add_noise(3)
    model.disturb(5, 300, 3000)
    random = flash_lab.Random(11)
    watts = 3450.0
    missing = answered = 0
    begun = rig.missing()
    for _ in range(2000):
        if random.below(10) == 0:
            watts = random.below(20000) - 5000.0
            rig.load(watts, 500.0)
        if not rig.step():
            continue
        answered += 1
        if rig.driver.status & qu.STATUS_SAMPLES_MISSING:
            missing += 1
        q = rig.q
        assert all(229000 < u < 231000 for u in q.voltage_mv), q.voltage_mv
        assert abs(q.total_active_power_mw - 1000 * watts) < 20000 + abs(watts), (watts, q)
        assert 49900 < q.frequency_mhz < 50100
        assert not rig.driver.status & 0x7F00 or watts < 0, hex(rig.driver.status)
    model.disturb(0, 0, 0)
    assert rig.step()
    short = since(rig, begun)
    assert model.spoilt > 500 and answered > 1900
    # What is not told of is a lump here and there, as a bit more or less of a reading.
    assert abs(short[0]) < 20 + missing * 500 and missing < 40, (short, missing)
    assert rig.driver.resets == 1


def check_reactive_energy_is_where_the_active_power_flows():
    """Small power beside large reactive power, both ways, and ways that change."""
    for watts, var, register in (
        (-30, 500, R_Q2), (-10, 500, R_Q2), (-30, -500, R_Q3), (-4, 2000, R_Q2),
        (10, 500, R_Q1), (3, -800, R_Q4), (0, 500, R_Q1),
    ):  # fmt: skip
        rig = Rig()
        energy = EnergyRegisters()
        rig.load(watts, var)
        for _ in range(400):
            assert rig.step()
            energy.add(rig.driver.active_uws, rig.driver.reactive_uvars, rig.driver.exporting)
        quadrants = [energy.mwh[k] for k in (R_Q1, R_Q2, R_Q3, R_Q4)]
        assert energy.mwh[register] == sum(quadrants) > 12000, (watts, var, quadrants)
    # As a battery beside a house does: a second this way, three that way.
    rig = Rig()
    energy = EnergyRegisters()
    for second in range(400):
        rig.load(25 if second & 3 else -25, 700)
        for _ in range(5):
            assert rig.step(200)
            energy.add(rig.driver.active_uws, rig.driver.reactive_uvars, rig.driver.exporting)
    share = 1000 * energy.mwh[R_Q2] // (energy.mwh[R_Q1] + energy.mwh[R_Q2])
    assert 235 <= share <= 265, share


def check_what_is_open_is_seen_at_every_nominal_voltage():
    for nominal in (230.0, 400.0, 57.7):
        rigs = {}
        for system in ("3P4W", "3P3W"):
            rigs[system] = Rig(system, nominal_voltage_mv=round(1000 * nominal))
        for system, points, amperes, lost, neutral in signals_vm.open_cases():
            rig = rigs[system]
            channels = signals_vm.channels(system, points, nominal, amperes)
            places = (0, 2) if system == "3P3W" else (0, 1, 2)
            u, i, p, r, lag = [0] * 3, [0] * 3, [0] * 3, [0] * 3, [0.0] * 3
            for k, place in enumerate(places):
                volts, degrees = channels[2 * k]
                u[place] = round(1000 * volts)
                i[place] = round(1e6 * amperes[place])
                lag[place] = (channels[0][1] - degrees) % 360
                # What flows in one of two wires flows back in the other.
                flows = -120 * place
                if lost in (1, 2, 4):
                    flows = 0 if place == 0 or lost == 1 else 180
                angle = math.radians(degrees - flows)
                p[place] = 1000 * volts * amperes[place] * math.cos(angle)
                r[place] = 1000 * volts * amperes[place] * math.sin(angle)
            # As it stands before: nothing is open.
            rig.driver._open = 0
            rig.model.set_quantities(u, i, p, r, 50000, lag[2], lag[1])
            assert rig.step()
            status = rig.driver.status
            if system == "3P3W" and lost and 0 in (u[0], u[2]):
                # Two wires hang together. What flows in L2 follows from both voltages, and one
                # is none: which of the two is open cannot be seen.
                assert status >> 8 & lost or status >> 8 & 7 == (6 & ~lost or 2)
                continue
            assert status >> 8 & 7 == lost, (nominal, system, points, hex(status))
            assert bool(status & qu.STATUS_NEUTRAL_LOST) == neutral, (nominal, system, points)


class Meters:
    """A whole meter with the IC on its bus."""

    def __init__(self):
        self.rig = Rig()
        board = flash_lab.LabBoard(flash_lab.LabFlash(64))
        board.clock = flash_lab.LabClock()
        board.frontend = self.rig.driver
        self.meter = flash_lab.Meter(
            board,
            {
                "system": "3P4W",
                "calibration": atm90e32.default_calibration("3P4W"),
                "identity": {"meter_id": "7359990000000017"},
                "han": {"format": "kaifa"},
            },
        )
        self.now_ms = START_MS
        self.meter.start(START_MS)
        self.reader = IcReader(self.rig.driver, self.meter, START_MS)

    def run(self, seconds):
        for _ in range(seconds * 40):
            self.now_ms += 25
            self.rig.model.advance(25000)
            self.reader.read(self.now_ms)
            self.meter.tick(self.now_ms)

    def codes(self):
        return [event[1] for event in self.meter.events.entries()]

    def energy_uws(self):
        energy = self.meter.energy
        return energy.mwh[0] * 3600000 + energy.remainder_uws[0]


def check_a_bus_that_is_stuck_is_told_once_and_the_rest_goes_on():
    for level in (0, 1):
        bench = Meters()
        bench.rig.load(3600.0, 0.0)
        bench.run(10)
        bench.rig.model.stuck = level
        bench.run(40)
        meter = bench.meter
        codes = bench.codes()
        assert codes.count(ev.SAMPLES_MISSING) == codes.count(ev.MEASUREMENT_ERROR) == 1
        assert not meter.quantities.total_active_power_mw and not meter.quantities.frequency_mhz
        assert ev.VOLTAGE_LOST not in codes and ev.MISSING_VOLTAGE not in codes
        counted = bench.energy_uws()
        bench.rig.model.stuck = None
        bench.run(10)
        # The IC has gone on: what it counted meanwhile is there, and no more than that.
        assert counted <= 3600000 * 10000
        assert abs(bench.energy_uws() - 3600000 * 60000) < 3600000 * 300
        assert meter.quantities.total_active_power_mw > 3599000
        assert len(bench.codes()) == len(codes) and not meter.faults.count
        assert meter.control.limiter.value() <= 3600000


def check_a_restart_of_the_controller_takes_what_was_counted():
    """An hour's update, and the first reading is as large as that."""
    bench = Meters()
    bench.rig.load(900.0, 0.0)
    bench.run(5)
    bench.rig.model.advance(600000000)
    bench.reader = IcReader(bench.rig.driver, bench.meter, bench.now_ms)
    bench.rig.driver.elapsed_ms = 0
    bench.run(5)
    assert abs(bench.energy_uws() - 900000 * 610000) < 900000 * 300
    assert ev.SAMPLES_MISSING not in bench.codes()


def main():
    done = 0
    for name in sorted(globals()):
        if name.startswith("check_"):
            globals()[name]()
            done += 1
    print(done)
