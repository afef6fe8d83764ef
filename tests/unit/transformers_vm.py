"""A point of 11 kV behind transformers of 100/5 A and 11000/110 V, on either VM."""

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab

from billing_vm import CONFIG, HOUR_MS, Bench

from ams.clock.local import utc_ms_of
from ams.han.aidon import Aidon
from ams.han.list_axdr import Writer
from ams.metrology.transformers import Transformers
from ams.registers import profile
from ams.registers.energy import EnergyRegisters
from ams.results import AccessError
from ams.storage import layout
from amsbench.hold import hold

RATIOS = {"ct": [100, 5], "vt": [11000, 110]}
ARON = {
    "sample_rate_hz": 4000,
    "full_scale": 8388607,
    "starting_power_mva": 700,
    "nominal_voltage_mv": 110000,
    "channels": [
        {"kind": "voltage", "lsb_pv": 30000000},
        {"kind": "current", "lsb_pa": 2000000},
    ]
    * 2,
}


class Point(Bench):
    """Secondary quantities are set; what is shown is of the primary side."""

    def __init__(self, ratios=RATIOS, system="3P3W", start_ms=None):
        self.config = dict(CONFIG, system=system, transformers=ratios)
        if system == "3P3W":
            self.config["calibration"] = ARON
        super().__init__(utc_ms_of(2026, 1, 12, 5) if start_ms is None else start_ms)

    def power_up(self, off_ms=0):
        self.raw_ms += off_ms
        self.meter = flash_lab.start(self.flash, self.config, self.raw_ms)
        self.energy = self.meter.energy
        self.model = self.meter.model

    def hold(self, ms, power_w, reactive_var=0):
        """Power in W of the secondary side, of an even load on three phases at 110 V."""
        q = self.meter.quantities
        for place in range(3):
            q.voltage_mv[place] = 110000
            q.current_ua[place] = 4000000
        q.active_power_mw[0] = q.active_power_mw[2] = power_w * 500
        q.reactive_power_mvar[0] = q.reactive_power_mvar[2] = reactive_var * 500
        q.total_active_power_mw = power_w * 1000
        q.total_reactive_power_mvar = reactive_var * 1000
        q.frequency_mhz = 50000
        hold(self.meter, self.raw_ms, ms, self.meter._board.clock)
        self.raw_ms += ms
        self.meter.tick(self.raw_ms)

    def intervals(self):
        found = self.meter.nv_memory.entries(layout.LOAD_PROFILE)
        return [profile.unpack_quadrants(data) for data in found]


def primary_values():
    """762 W and 300 var at 110 V and 4 A are 1.524 MW and 600 kvar at 11 kV and 80 A."""
    point = Point()
    point.hold(HOUR_MS, 762, 300)
    assert point.number(3, 1, 8, 0) == 1524 * 10**6
    assert point.number(3, 3, 8, 0) == 600 * 10**6
    assert point.number(3, 1, 7, 0) == 1524 * 10**6
    assert point.number(3, 32, 7, 0) == 11000000
    assert point.number(3, 31, 7, 0) == 80000
    assert [point.number(1, 0, 4, e) for e in range(2, 8)] == [100, 11000, 2000, 5, 110, 1]
    assert point.number(4, 1, 6, 0) == 1524 * 10**6 == point.number(4, 1, 16, 0)
    # By the quarter, in four quadrants.
    assert point.number(3, 0, 8, 4) == 900
    rows = point.intervals()
    assert len(rows) == 4 and all(row[3] == 900 for row in rows)
    assert sum(row[4] for row in rows) == 1524 * 10**6
    assert sum(row[8] for row in rows) == 600 * 10**6 and not any(row[9] for row in rows)
    data = point.get(7, (1, 0, 99, 1, 0, 255))
    assert len(data) == 2 + 4 * 59, len(data)
    # The test output goes by what the meter itself has turned.
    assert point.energy.secondary_mwh() == 762 * 1000
    point.whole()
    return 1


def quadrants_add_up():
    """Over quadrants, a cut at any moment and what is found in the profile after it."""
    random = flash_lab.Random(7)
    point = Point({"ct": [75, 5], "vt": [22000, 110]}, "3P4W")
    for _ in range(60):
        point.hold(60000 * (1 + random.below(30)), random.below(900) - 450, random.below(800) - 400)
        if random.below(6) == 0:
            point.meter.stop()
            point.power_up(60000)
        elif random.below(9) == 0:
            point.power_up(60000)
        if random.below(9) == 0:
            # The newest record of the registers goes: the profile knows better.
            registers = point.meter.nv_memory.journals[layout.REGISTERS]
            assert registers.last(1)[0] == 3
    open_interval = point.meter.recorder.load_profile
    for k in range(8):
        counted = sum(row[4 + k] for row in point.intervals())
        assert counted == open_interval.start_mwh[k], k
    mwh = point.energy.mwh
    assert 0 <= mwh[2] - mwh[4] - mwh[5] <= 1 and 0 <= mwh[3] - mwh[6] - mwh[7] <= 1
    point.whole()
    return 1


def exact_to_the_remainder():
    """Primary energy is the secondary's, times the ratio: whatever the steps, nothing is lost."""
    random = flash_lab.Random(3)
    for ratios in (RATIOS, {"ct": [75, 5]}, {"ct": [600, 1], "vt": [132000, 110]}, {"ct": [1, 3]}):
        t = Transformers(ratios)
        energy = EnergyRegisters(None, t)
        direct = EnergyRegisters()
        total = 0
        for _ in range(400):
            step = random.below(1 << 30)
            energy.add(step, 0)
            direct.add(step, 0)
            total += step
        num, den = t.overall
        assert energy.mwh[0] == total * num // (3600000 * den * t.unit)
        assert energy.remainder_uws[0] == total * num - energy.mwh[0] * 3600000 * den * t.unit
        assert energy.remainder_uws[0] // energy.fine < 1 << 32
        assert abs(energy.secondary_mwh() - direct.mwh[0]) <= max(1, energy.fine // num + 1)
    return 1


def large_points_count_in_wh():
    """132 kV, 600 A: 137 MW do not fit 32 bits of mW; a client goes by the scaler."""
    point = Point({"ct": [600, 5], "vt": [132000, 110]})
    assert point.meter.energy.transformers.unit == 1000
    point.hold(HOUR_MS, 900)
    assert point.number(3, 1, 8, 0) == 900 * 144000  # Wh
    assert point.get(3, (1, 0, 1, 8, 0, 255), 3) == b"\x02\x02\x0f\x00\x16\x1e"
    assert point.number(3, 1, 7, 0) == 900 * 144000
    assert point.get(3, (1, 0, 1, 7, 0, 255), 3) == b"\x02\x02\x0f\x00\x16\x1b"
    assert point.number(4, 1, 6, 0) == 900 * 144000
    assert point.get(4, (1, 0, 1, 6, 0, 255), 3) == b"\x02\x02\x0f\x00\x16\x1b"
    assert point.number(3, 1, 29, 0) == 900 * 36000
    point.meter.stop()
    point.power_up(1000)
    point.hold(HOUR_MS, 900)
    assert point.number(3, 1, 8, 0) == 2 * 900 * 144000
    return 1


def on_the_han():
    """Lists are of the primary side, in fields that hold it."""
    point = Point()
    point.hold(HOUR_MS, 762)
    view = point.meter.han.view
    assert view.power(0) == 1524000 and view.voltage(0, 1000) == 11000
    assert view.current(0, 1000000) == 80 and view.energy_now(0, 1000) == 1524000
    out = Writer(bytearray(640))
    frame = Aidon("no").encode(2, out, view, point.raw_ms)
    data = bytes(out.buffer[:frame]) if hasattr(out, "buffer") else bytes(out.view())
    # 11000 V as a number of 16 bits with scaler 0; 80.0 A.
    assert b"\x12\x2a\xf8\x02\x02\x0f\x00\x16\x23" in data
    assert b"\x10\x03\x20\x02\x02\x0f\xff\x16\x21" in data
    return 1


def no_breaker():
    """Nothing switches such a point, whatever else was provisioned."""
    point = Point()
    assert not point.meter.control.has_relay and point.meter.control.policy.never_disconnect
    point.power_up(1000)
    assert point.meter.control.policy.inhibit
    return 1


def kept_over_power():
    """What was provisioned is the meter's: it need not be given again."""
    point = Point()
    point.hold(HOUR_MS, 500)
    point.meter.stop()
    del point.config["transformers"]
    point.power_up(1000)
    assert point.meter.energy.transformers.ct == (100, 5)
    point.hold(HOUR_MS, 500)
    assert point.number(3, 1, 8, 0) == 2 * 10**9
    return 1


def odd_ratios_are_refused():
    good = {"ct": [100, 5], "vt": [110, 110]}
    assert Transformers(good).overall == (20, 1) and Transformers(good).unit == 1
    for bad in (
        {"ct": [0, 5]},
        {"ct": [5]},
        {"vt": [11000, 0]},
        {"ct": [1, 1009]},
        {"vt": ["a", 1]},
    ):
        try:
            Transformers(bad)
        except ValueError as error:
            assert "transformers" in str(error)
        else:
            raise AssertionError(bad)
    direct = Bench(utc_ms_of(2026, 1, 12, 5))
    try:
        direct.number(1, 0, 4, 2)
    except AccessError:
        return 1
    raise AssertionError("a direct meter has ratios")


TESTS = (
    primary_values,
    quadrants_add_up,
    exact_to_the_remainder,
    large_points_count_in_wh,
    on_the_han,
    no_breaker,
    kept_over_power,
    odd_ratios_are_refused,
)


def all_of():
    return sum(test() for test in TESTS)
