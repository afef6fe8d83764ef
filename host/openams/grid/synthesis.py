"""Waveforms that have given quantities: a recording made into samples again.

What a meter reads of the waveform is the row: voltage, current, active power
and fundamental reactive power. Where a row cannot be (more power than U*I, as
rounded or older readings say), power wins over current. Current that the
power does not need is put into the 5th harmonic, which carries no power. The
current of a place without voltage carries none either.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from openams.grid.scenario import Row, Samples

# The phases of the voltages, in radians.
_U = {
    "1P2W": (0.0,),
    "3P4W": (0.0, -2 * math.pi / 3, 2 * math.pi / 3),
    # u1-u2 leads u1 by 30 degrees, u3-u2 by 90.
    "3P3W": (math.pi / 6, math.pi / 2),
}
_EXCESS_HARMONIC = 5


@dataclass(frozen=True)
class Waves:
    """Phasors (RMS) of the fundamental, and RMS of the excess harmonic, per channel."""

    fundamental: tuple[complex, ...]
    excess: tuple[float, ...]


def waves(row: Row, system: str) -> Waves:
    """The channels of a row, voltage and current of each element in turn."""
    return _three_wire(row) if system == "3P3W" else _phases(row, system)


def _excess(current_a: float, fundamental_a: float) -> float:
    return math.sqrt(max(0.0, current_a**2 - fundamental_a**2))


def _phases(row: Row, system: str) -> Waves:
    fundamental: list[complex] = []
    excess: list[float] = []
    for place, angle in enumerate(_U[system]):
        u = cmath.rect(row.voltage_mv[place] / 1e3, angle)
        s = complex(row.active_power_mw[place], row.reactive_power_mvar[place]) / 1e3
        current = row.current_ua[place] / 1e6
        i = (s / u).conjugate() if u else cmath.rect(current, angle)
        fundamental += [u, i]
        excess += [0.0, _excess(current, abs(i))]
    return Waves(tuple(fundamental), tuple(excess))


def _three_wire(row: Row) -> Waves:
    """Two elements: the angles of I1 and I3 so that U12*I1' + U32*I3' = P + jQ."""
    angle12, angle32 = _U["3P3W"]
    u12 = cmath.rect(row.voltage_mv[0] / 1e3, angle12)
    u32 = cmath.rect(row.voltage_mv[2] / 1e3, angle32)
    total = complex(row.total_active_power_mw, row.total_reactive_power_mvar) / 1e3
    i1, i2, i3 = (current / 1e6 for current in row.current_ua)
    if not u12 or not u32:
        c1 = (total / u12).conjugate() if u12 else cmath.rect(i1, angle12)
        c3 = (total / u32).conjugate() if u32 else cmath.rect(i3, angle32)
        return Waves((u12, c1, u32, c3), (0.0, _excess(i1, abs(c1)), 0.0, _excess(i3, abs(c3))))
    a, b, s = abs(u12) * i1, abs(u32) * i3, abs(total)
    if s > a + b:
        # Power wins: both currents grow by the same factor.
        if a + b:
            a, b = a * s / (a + b), b * s / (a + b)
        else:
            a = b = s / 2
    elif s < abs(a - b):
        # The larger current carries more than the power allows: its excess is distortion.
        if a > b:
            a = s + b
        else:
            b = s + a
    best = min(_triangles(a, b, total), key=lambda pair: _second(pair, u12, u32, i2))
    c1 = (best[0] / u12).conjugate()
    c3 = (best[1] / u32).conjugate()
    return Waves((u12, c1, u32, c3), (0.0, _excess(i1, abs(c1)), 0.0, _excess(i3, abs(c3))))


def _triangles(a: float, b: float, total: complex) -> list[tuple[complex, complex]]:
    """Both ways to write `total` as a sum of complex powers of sizes a and b."""
    s = abs(total)
    if s == 0 or a == 0:
        # Opposite, or one element alone.
        first = cmath.rect(a, cmath.phase(total))
        return [(first, total - first)]
    cos = max(-1.0, min(1.0, (a * a + s * s - b * b) / (2 * a * s)))
    angle = cmath.phase(total)
    firsts = [cmath.rect(a, angle + sign * math.acos(cos)) for sign in (1, -1)]
    return [(first, total - first) for first in firsts]


def _second(pair: tuple[complex, complex], u12: complex, u32: complex, i2: float) -> float:
    """How far the current of L2 would be from the row's."""
    c1 = (pair[0] / u12).conjugate()
    c3 = (pair[1] / u32).conjugate()
    return abs(abs(c1 + c3) - i2)


def play(rows: Iterator[Row], system: str, sample_rate_hz: int, block: int) -> Iterator[Samples]:
    """Blocks of the waveform of `rows`, phase-continuous across them."""
    turns = 0.0
    pending: list[Samples] = []
    ready = 0
    done = 0  # sample sets made so far
    for row in rows:
        end = (row.start_ms + row.duration_ms) * sample_rate_hz // 1000
        made = waves(row, system)
        step = row.frequency_mhz / 1000 / sample_rate_hz
        while done < end:
            count = min(block - ready, end - done)
            pending.append(_render(made, turns, step, count))
            turns = (turns + count * step) % 1.0
            done += count
            ready += count
            if ready == block:
                yield np.concatenate(pending) if len(pending) > 1 else pending[0]
                pending, ready = [], 0
    if ready:
        yield np.concatenate(pending)


def _render(made: Waves, turns: float, step: float, count: int) -> Samples:
    angle = 2 * math.pi * (turns + step * np.arange(count))
    cos, sin = np.cos(angle), np.sin(angle)
    phasors = np.array(made.fundamental) * math.sqrt(2)
    out = np.outer(cos, phasors.real) - np.outer(sin, phasors.imag)
    if any(made.excess):
        harmonic = np.cos(_EXCESS_HARMONIC * angle) * math.sqrt(2)
        out += np.outer(harmonic, np.array(made.excess))
    return out
