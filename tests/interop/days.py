"""Days on which clocks change, years begin and February is long, and what a meter shows of them."""

from __future__ import annotations

import random
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from openams.grid.household import Household, Reading

EPOCH_S = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
# Local midnights; what is apart of them is in the middle of each slice.
DAYS = {
    "spring": ("2026-03-29T00:00:00+01:00", 23, 2),
    "autumn": ("2026-10-25T00:00:00+02:00", 25, 3),
    "new-year": ("2027-12-31T12:00:00+01:00", 24, 12),
    "leap-day": ("2028-02-28T12:00:00+01:00", 36, 12),
}


def of_a_house(draw):
    """Watts: import and export, large, small and none."""
    return draw.choice((draw.randint(-9000, 9000), draw.randint(-300, 300), 0))


def of_a_town(draw):
    """Watts that bring a register of 32 bits round: of 1 Wh in hours, of 10 Wh in two days."""
    return draw.choice((1,) * 39 + (-1,)) * draw.randint(950_000_000, 999_999_999)


def scenario(start, duration_s, seed, system="3P4W", watts=of_a_house):
    """A house with a plant on its roof: import, export, and both reactive ways."""
    draw = random.Random(seed)
    readings, at = [], 0
    while at < duration_s + 90:
        active = watts(draw) * 1000 + draw.randint(-500, 500)
        volts = tuple(draw.randint(207_000, 253_000) for _ in range(3))
        amperes = tuple(draw.randint(10_000, 63_000_000) for _ in range(3))
        when = start + timedelta(seconds=at)
        # Above the starting power, below which nothing is counted.
        reactive = draw.choice((-1, 1)) * draw.randint(20_000, 2_000_000)
        readings.append(Reading(when, active, reactive, volts, amperes))
        at += draw.randint(3, 90)
    return Household("plant", system, readings)


class Truth:
    """What a meter shows of a scenario at a time, in exact numbers."""

    def __init__(self, house):
        self._rows = list(house.rows())
        self._starts = [row.start_ms for row in self._rows]
        self._sums = [(0,) * 8]
        for row in self._rows:
            parts = self._parts(row, row.duration_ms)
            self._sums.append(tuple(a + b for a, b in zip(self._sums[-1], parts, strict=True)))

    def _parts(self, row, duration_ms):
        """Milli-watt-milliseconds: A+, A-, R+, R-, and reactive by quadrant."""
        p, q = row.total_active_power_mw, row.total_reactive_power_mvar
        quadrant = (0 if p >= 0 else 1) if q >= 0 else (2 if p < 0 else 3)
        out = [max(p, 0), max(-p, 0), max(q, 0), max(-q, 0), 0, 0, 0, 0]
        out[4 + quadrant] = abs(q)
        return [value * duration_ms for value in out]

    def values(self, at_ms):
        """Exact values by the names of our reader."""
        k = bisect_right(self._starts, at_ms) - 1
        row = self._rows[k]
        # The registers take what has ended: a row that begins now has given nothing yet.
        parts = self._parts(row, at_ms - row.start_ms)
        sums = [a + b for a, b in zip(self._sums[k], parts, strict=True)]
        out = {}
        names = ("a_plus_wh", "a_minus_wh", "r_plus_varh", "r_minus_varh",
                 "r_q1_varh", "r_q2_varh", "r_q3_varh", "r_q4_varh")  # fmt: skip
        for name, value in zip(names, sums, strict=True):
            out[name] = Fraction(value, 3_600_000_000)
        p, q = row.total_active_power_mw, row.total_reactive_power_mvar
        out["active_power_w"] = Decimal(p) / 1000
        out["active_power_absolute_w"] = abs(out["active_power_w"])
        _ways(out, "active_power_%s_w", p)
        _ways(out, "reactive_power_%s_var", q)
        for k in range(3):
            out[f"voltage_l{k + 1}_v"] = Decimal(row.voltage_mv[k]) / 1000
            out[f"current_l{k + 1}_a"] = Decimal(row.current_ua[k]) / 1_000_000
            out[f"active_power_l{k + 1}_w"] = Decimal(row.active_power_mw[k]) / 1000
            _ways(out, f"active_power_%s_l{k + 1}_w", row.active_power_mw[k])
            _ways(out, f"reactive_power_%s_l{k + 1}_var", row.reactive_power_mvar[k])
        return out


def _ways(out, name, value):
    out[name % "import"] = Decimal(max(value, 0)) / 1000
    out[name % "export"] = Decimal(max(-value, 0)) / 1000
