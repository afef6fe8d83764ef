"""What an interval can hold: main fuse and net."""

from __future__ import annotations

import math

from openams.headend.vee.model import Point

# V times A of the main fuse is W; IT nets have 230 V between lines, TN nets 400 V.
_VOLTS = {"1P2W": 230.0, "3P3W": math.sqrt(3) * 230.0, "3P4W": math.sqrt(3) * 400.0}
# A fuse carries 1.25 times its current without end (IEC 60269-1, conventional non-fusing current),
# at a voltage up to 10 % high (EN 50160).
MARGIN = 1.25 * 1.10


def nominal_wh(point: Point) -> float:
    """Energy of an interval at the fuse's current and the net's voltage."""
    return _VOLTS[point.system] * point.fuse_a * point.resolution_min / 60


def limit_wh(point: Point) -> int:
    """More than this is no value: what the fuse bears for hours, with the voltage high."""
    return max(1, math.floor(nominal_wh(point) * MARGIN))
