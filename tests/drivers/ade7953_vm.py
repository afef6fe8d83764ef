"""The ADE7953 on a bus as it is, on either VM: nothing is believed that it did not say.

Every `check_` function is one test; `main()` runs them all and prints their number.
"""

import math

from icbus import Bus

from ams.events import events as ev
from ams.metrology import quantities as qu
from ams.metrology.calibration import Calibration
from ams.metrology.quantities import Quantities
from ams.registers.energy import R_Q1, R_Q2, R_Q3, R_Q4, EnergyRegisters
from drivers import ade7953
from drivers.ic_reader import IcReader
from openams.emulator.models.ade7953 import Ade7953 as Model

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab

# One count of energy: 10 mW for the seconds that 206.9 kHz say.
COUNT_UWS = 235012
START_MS = 840000000000
PERIOD_MS = 225
FRAME_US = 60


class Rig:
    def __init__(self, record=None, begins=True, **more):
        self.record = record or ade7953.default_calibration()
        self.record.update(more)
        self.model = Model()
        self.bus = Bus(self.model, FRAME_US)
        self.q = Quantities("1P2W")
        self.handed = [0, 0]  # counts, net, since the beginning
        self.restart()
        if begins:
            assert self.driver.begin() and self.driver.resets == 1

    def restart(self):
        """The controller begins anew."""
        self.driver = ade7953.make(
            self.bus, self.bus.select, Calibration("1P2W", self.record), self.wait_ms
        )

    def wait_ms(self, ms):
        self.model.advance(1000 * ms)

    def load(self, watts=2300.0, var=600.0, volts=230.0, millihertz=50000):
        va = math.sqrt(watts * watts + var * var)
        self.model.set_quantities(
            1000 * volts, 1e6 * va / volts if volts else 0, 1000 * watts, 1000 * var, millihertz
        )

    def step(self, ms=PERIOD_MS):
        """Time passes and the meter polls; whether the IC answered."""
        self.model.advance(1000 * ms)
        return self.poll()

    def poll(self):
        if not self.driver.poll(self.q):
            return False
        for k, uws in ((0, self.driver.active_uws), (1, self.driver.reactive_uvars)):
            assert uws % COUNT_UWS == 0
            self.handed[k] += uws // COUNT_UWS
        return True

    def shown(self):
        q = self.q
        return (
            q.voltage_mv[0], q.current_ua[0], q.active_power_mw[0], q.reactive_power_mvar[0],
            q.apparent_power_mva[0], q.total_active_power_mw, q.frequency_mhz,
        )  # fmt: skip

    def missing(self):
        """Counts that the IC has made and nobody has: (active, reactive)."""
        model = self.model
        pending = (self.driver._pending_active, self.driver._pending_reactive)
        return [
            model.made[k] - self.handed[k] - model._registers.get(0x21E + 2 * k, 0) - pending[k]
            for k in range(2)
        ]


def close(value, right, part=0.001, least=0):
    return abs(value - right) <= abs(right) * part + least


def quiet_poll(rig):
    """(number of exchanges of a poll, what it shows)"""
    rig.load()
    for _ in range(len(rig.driver._config) + 2):
        assert rig.step()
    begin = rig.bus.count
    assert rig.step()
    return rig.bus.count - begin, rig.shown()


def check_what_it_shows_is_right_to_a_thousandth_in_every_quadrant():
    # The two readings are not quite half a period apart: a hundredth of the ripple is left.
    for ripple, part in ((0.0, 0.001), (0.1, 0.003)):
        rig = Rig()
        rig.model.ripple = ripple
        for volts, watts, var, hertz in (
            (230.0, 2300.0, 0.0, 50.0), (207.0, 9000.0, 4000.0, 49.8),
            (253.0, -5000.0, 900.0, 50.2), (230.0, -50.0, -800.0, 50.0),
            (230.0, 40.0, -30.0, 47.0), (115.0, 10.0, 5.0, 52.5),
        ):  # fmt: skip
            rig.load(watts, var, volts, 1000 * hertz)
            assert rig.step()
            q = rig.q
            va = math.sqrt(watts * watts + var * var)
            assert close(q.voltage_mv[0], 1000 * volts, part), (volts, q.voltage_mv)
            assert close(q.current_ua[0], 1e6 * va / volts, part, 30), q.current_ua
            assert close(q.active_power_mw[0], 1000 * watts, part, 15), q.active_power_mw
            assert close(q.reactive_power_mvar[0], 1000 * var, part, 15), q.reactive_power_mvar
            assert close(q.apparent_power_mva[0], 1000 * va, 2 * part, 15), q.apparent_power_mva
            assert close(q.frequency_mhz, 1000 * hertz, 0, 12), q.frequency_mhz
            assert abs(q.power_factor_permille[0] - 1000 * watts / va) < 2
            assert rig.driver.status == 0 and rig.driver.exporting == (watts < 0)
        assert rig.driver.disturbed == 0


def check_energy_is_power_times_time_and_every_count_comes_once():
    rig = Rig()
    for watts, var in ((2300.0, 600.0), (-6900.0, 100.0), (5.0, -1500.0)):
        rig.load(watts, var)
        assert rig.step()
        begun, handed = rig.model._us, list(rig.handed)
        for _ in range(200):
            assert rig.step()
        seconds = (rig.model._us - begun) / 1e6
        for k, power in ((0, watts), (1, var)):
            uws = COUNT_UWS * (rig.handed[k] - handed[k])
            assert close(uws, power * seconds * 1e6, 0.001, 2e6), (power, uws, seconds)
        assert rig.missing() == [0, 0]
    assert rig.driver.disturbed == 0 and rig.driver.resets == 1


def check_no_load_counts_nothing():
    rig = Rig()
    rig.load(1.5, 0.4)  # starting power is 2 VA
    for _ in range(20):
        assert rig.step(1000)
    assert rig.handed == [0, 0] and rig.driver.status == qu.STATUS_NO_LOAD
    rig.load(0.0, 0.0, 0.0, 0)
    assert rig.step()
    assert rig.driver.status == qu.STATUS_NO_LOAD | qu.STATUS_NO_VOLTAGE
    assert rig.q.frequency_mhz == 0
    rig.load(2.5, 0.0)
    for _ in range(20):
        assert rig.step(1000)
    assert rig.handed[0] > 100 and not rig.driver.status


def check_no_single_bit_becomes_a_measurement():
    """Each bit of each answer of a poll is wrong once: nothing is seen of it, nothing lost."""
    rig = Rig()
    exchanges, shown = quiet_poll(rig)
    tried = 0
    for number in range(exchanges):
        for bit in range(number % 5, 32, 5):
            at = rig.bus.count + number

            def turn(count, at=at, bit=bit):
                if count == at and bit < 8 * (rig.bus.octets - 3):
                    rig.bus.sent = 1 << bit

            rig.bus.hook = turn
            if not rig.step():
                assert rig.step(), (number, bit)
            tried += 1
            assert rig.shown() == shown, (number, bit, rig.shown())
            assert rig.driver.status == 0 and rig.missing() == [0, 0], (number, bit)
    assert rig.driver.resets == 1 and tried > 350


def check_no_bit_that_the_ic_mishears_invents_anything():
    """Another register is read, or one is written: energy that this costs is told."""
    rig = Rig()
    exchanges, shown = quiet_poll(rig)
    told = 0
    for number in range(exchanges):
        for bit in range(number % 5, 56, 5):
            at = rig.bus.count + number

            def turn(count, at=at, bit=bit):
                if count == at and bit < 8 * rig.bus.octets:
                    rig.bus.heard = 1 << bit

            rig.bus.hook = turn
            before = rig.missing()
            missing = 0
            for _ in range(2):
                if rig.step():
                    assert rig.shown() == shown, (number, bit, rig.shown())
                    missing |= rig.driver.status
            rig.bus.hook = None
            assert not missing & ~qu.STATUS_SAMPLES_MISSING
            after = rig.missing()
            told += missing != 0
            for k in range(2):
                # Exactly what was made has come, or less than that, which is told.
                assert after[k] == before[k] or (missing and after[k] > before[k]), (number, bit)
    assert told <= 25, told
    assert rig.driver.resets == 1


def check_a_line_that_dies_anywhere_in_a_poll_invents_nothing_and_loses_nothing_untold():
    """What comes back stands still, or the line is cut: then the IC hears nothing either."""
    for kind in (0, 1, "cut"):
        rig = Rig()
        exchanges, shown = quiet_poll(rig)
        lost = 0
        for polls, first, every in ((1, 0, 2), (5, 1, 3)):
            for number in range(first, exchanges, every):
                at = rig.bus.count + number

                def die(count, at=at, kind=kind, rig=rig):
                    if count == at:
                        if kind == "cut":
                            rig.bus.cut = True
                        else:
                            rig.model.stuck = kind

                before = rig.missing()
                rig.bus.hook = die
                assert not rig.step(), (kind, number)
                rig.bus.hook = None
                for _ in range(polls):
                    assert not rig.poll()
                rig.model.stuck = None
                rig.bus.cut = False
                assert rig.step() or rig.step(), (kind, number)
                assert rig.shown() == shown
                missing = rig.driver.status & qu.STATUS_SAMPLES_MISSING
                after = rig.missing()
                for k in range(2):
                    short = after[k] - before[k]
                    assert short == 0 or (missing and short > 0), (kind, number, polls, short)
                lost += after != before
                # The IC's record outlives a line that is away for a moment.
                assert polls > 1 or not missing
                assert rig.step() and not rig.driver.status
        assert lost <= 8, (kind, lost)
        assert rig.driver.resets == 1, "a dead line is no IC that has lost its settings"


def check_an_ic_that_resets_anywhere_in_a_poll_is_told_once():
    rig = Rig()
    exchanges, shown = quiet_poll(rig)
    for number in range(0, exchanges, 3):
        at = rig.bus.count + number

        def reset(count, at=at):
            if count == at:
                rig.model.power_up()

        made = list(rig.model.made)
        handed = list(rig.handed)
        rig.bus.hook = reset
        told = 0
        for _ in range(6):
            if rig.step():
                told += rig.driver.status & qu.STATUS_SAMPLES_MISSING != 0
                assert rig.shown() == shown, (number, rig.shown())
        rig.bus.hook = None
        assert told == 1, (number, told)
        for k in range(2):
            # One poll's counts of before may have been on their way.
            assert rig.handed[k] - handed[k] <= rig.model.made[k] - made[k] + 600
    assert rig.driver.resets == 1 + len(range(0, exchanges, 3))


def check_a_setting_that_changes_is_found_in_the_same_poll_and_not_shown():
    rig = Rig()
    _, shown = quiet_poll(rig)
    for register, bit in ((0x280, 20), (0x281, 3), (0x282, 19), (0x289, 12), (0x004, 6),
                          (0x108, 5), (0x102, 2), (0x203, 9), (0x007, 0), (0x120, 4)):  # fmt: skip
        rig.model._registers[register] = rig.model._registers.get(register, 0) ^ 1 << bit
        rig.model._measure()
        assert not rig.step(), hex(register)
        assert rig.shown() == shown
        assert rig.step() and rig.shown() == shown, (hex(register), rig.shown())
        assert rig.driver.status & qu.STATUS_SAMPLES_MISSING
        assert rig.step() and not rig.driver.status
    assert rig.driver.resets == 1


def check_a_brown_out_is_told_and_the_ic_set_up_again():
    rig = Rig()
    _, shown = quiet_poll(rig)
    rig.model.power_up()
    # It is busy for 100 ms after that.
    assert not rig.poll()
    told = 0
    for _ in range(8):
        if rig.step():
            told += rig.driver.status & qu.STATUS_SAMPLES_MISSING != 0
            assert rig.shown() == shown
    assert told == 1 and rig.driver.resets == 2
    assert rig.step() and not rig.driver.status


def check_an_ic_that_is_not_there_at_first_is_set_up_when_it_comes():
    rig = Rig(begins=False)
    rig.bus.cut = True
    assert not rig.driver.begin() and not rig.step() and rig.driver.resets == 0
    rig.bus.cut = False
    rig.load()
    told = 0
    for _ in range(6):
        if rig.step():
            told += rig.driver.status & qu.STATUS_SAMPLES_MISSING != 0
            assert close(rig.q.active_power_mw[0], 2300000)
    assert told == 1


def check_a_restart_of_the_controller_takes_what_was_counted():
    rig = Rig()
    rig.load(900.0, 100.0)
    assert rig.step()
    rig.model.advance(600000000)
    rig.restart()
    assert rig.driver.begin() and rig.driver.resets == 0
    assert rig.step()
    assert rig.missing() == [0, 0] and not rig.driver.status
    assert close(COUNT_UWS * rig.handed[0], 900e6 * 600, 0.002)


def check_a_register_that_has_run_over_is_told_and_invents_nothing():
    """24 bits signed: at 10 kW it is full after some three minutes."""
    for watts in (10000.0, -10000.0):
        rig = Rig()
        rig.load(watts, 100.0)
        assert rig.step()
        rig.model.advance(250000000)
        assert rig.step()
        # Once round: all of it is there.
        assert rig.missing() == [0, 0]
        assert rig.driver.status & qu.STATUS_SAMPLES_MISSING
        assert rig.driver.exporting == (watts < 0)
        assert rig.step() and not rig.driver.status
        before = rig.missing()
        rig.model.advance(1000000000)
        assert rig.step() and rig.driver.status & qu.STATUS_SAMPLES_MISSING
        short = (rig.missing()[0] - before[0]) * (1 if watts > 0 else -1)
        assert short > 0, "more than once round: what is there at least"
        handed = rig.handed[0]
        rig.restart()
        rig.model.advance(250000000)
        assert rig.driver.begin() and rig.step()
        # Which way it went nobody knows.
        assert rig.handed[0] == handed and rig.driver.status & qu.STATUS_SAMPLES_MISSING
        assert rig.step() and not rig.driver.status


def check_a_noisy_bus_for_minutes():
    """One octet in 300 comes wrong, one in 3000 is misheard; loads change, readings scatter."""
    rig = Rig()
    model = rig.model
    rig.load()
    assert rig.step()
    model.add_noise(3)
    model.disturb(5, 300, 3000)
    random = flash_lab.Random(11)
    watts = 2300.0
    missing = answered = 0
    begun = rig.missing()
    for _ in range(800):
        if random.below(10) == 0:
            watts = random.below(20000) - 5000.0
            rig.load(watts, 500.0)
        if not rig.step():
            continue
        answered += 1
        missing += rig.driver.status & qu.STATUS_SAMPLES_MISSING != 0
        q = rig.q
        assert 229000 < q.voltage_mv[0] < 231000, q.voltage_mv
        assert abs(q.total_active_power_mw - 1000 * watts) < 1000 + abs(watts), (watts, q)
        assert 49900 < q.frequency_mhz < 50100
    model.disturb(0, 0, 0)
    for _ in range(4):
        rig.step()
    short = [rig.missing()[k] - begun[k] for k in range(2)]
    assert model.spoilt > 200 and answered > 760, (model.spoilt, answered)
    # What is not told of is nothing at all.
    assert missing < 30, missing
    assert abs(short[0]) <= missing * 15000 and (missing or short == [0, 0]), (short, missing)
    assert rig.driver.resets == 1


def check_reactive_energy_is_where_the_active_power_flows():
    """Small power beside large reactive power, both ways."""
    for watts, var, register in (
        (-30, 500, R_Q2), (-5, 500, R_Q2), (-30, -500, R_Q3), (-4, 2000, R_Q2),
        (10, 500, R_Q1), (3, -800, R_Q4), (0, 500, R_Q1),
    ):  # fmt: skip
        rig = Rig()
        energy = EnergyRegisters()
        rig.load(watts, var)
        for _ in range(150):
            assert rig.step()
            energy.add(rig.driver.active_uws, rig.driver.reactive_uvars, rig.driver.exporting)
        quadrants = [energy.mwh[k] for k in (R_Q1, R_Q2, R_Q3, R_Q4)]
        assert energy.mwh[register] == sum(quadrants) > 4000, (watts, var, quadrants)


def check_calibration_goes_into_gains_and_phase():
    """Sensors that err, and the record that says by how much: the readings are right."""
    record = ade7953.default_calibration()
    for k, gain in ((0, 0.93), (1, 1.08)):
        record["channels"][k]["gain_ppb"] = round((1 / gain - 1) * 1e9)
    record["channels"][1]["phase_urad"] = 9000
    rig = Rig(record, begins=False)
    rig.model.sensor_gain = [0.93, 1.08, 1.0]
    rig.model.sensor_lag_urad = 9000
    assert rig.driver.begin()
    rig.load(1150.0, 1991.858)
    assert rig.step()
    q = rig.q
    assert close(q.voltage_mv[0], 230000, 2e-5) and close(q.current_ua[0], 10e6, 2e-5)
    # Steps of 0.35 mrad: half of one is 0.03 % here.
    assert close(q.active_power_mw[0], 1150e3, 4e-4) and close(
        q.reactive_power_mvar[0], 1991858, 2e-4
    )


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
                "system": "1P2W",
                "calibration": ade7953.default_calibration(),
                "identity": {"meter_id": "7359990000000017"},
                "han": {"format": "kaifa"},
            },
        )
        self.now_ms = START_MS
        self.meter.start(START_MS)
        self.reader = IcReader(self.rig.driver, self.meter, START_MS)

    def run(self, seconds):
        until = self.rig.model._us
        for _ in range(seconds * 40):
            self.now_ms += 25
            until += 25000
            # What the bus has taken of it has passed.
            self.rig.model.advance(max(until - self.rig.model._us, 0))
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
        assert codes.count(ev.SAMPLES_MISSING) == codes.count(ev.MEASUREMENT_ERROR) == 1, codes
        assert not meter.quantities.total_active_power_mw and not meter.quantities.frequency_mhz
        assert ev.VOLTAGE_LOST not in codes and ev.MISSING_VOLTAGE not in codes
        counted = bench.energy_uws()
        bench.rig.model.stuck = None
        bench.run(10)
        # The IC has gone on: what it counted meanwhile is there, and no more than that.
        assert counted <= 3600000 * 10010
        assert abs(bench.energy_uws() - 3600000 * 60000) < 3600000 * 400
        assert meter.quantities.total_active_power_mw > 3598000
        assert len(bench.codes()) == len(codes) and not meter.faults.count
        assert meter.control.limiter.value() <= 3602000


def main():
    done = 0
    for name in sorted(globals()):
        if name.startswith("check_"):
            globals()[name]()
            done += 1
    print(done)
