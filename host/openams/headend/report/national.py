"""What the regulator's report says of Norway: RME, April 2023, data of the third quarter of 2022.

Shares of 0 to 1. Where it counts companies the share is of those that it counts.
"""

from __future__ import annotations

SOURCE = "RME, April 2023 (data Q3 2022)"


def _of(*counts: float) -> tuple[float, ...]:
    whole = sum(counts)
    return tuple(count / whole for count in counts)


# Figure 1, chapter 2.2: AMS with module, AMS without, older meters, unmetered.
METERS = (0.988, 0.003, 0.003, 0.006)
# Figure 2, chapter 2.3: signal, meter, concentrator, head-end, other.
CAUSES = (0.50, 0.10, 0.04, 0.08, 0.28)
ESTIMATED_A_DAY = 0.013
# Figure 3, chapter 3.1: health, low use, access refused, other, uncategorised.
PROFILED = _of(7882, 2606, 5647, 1896, 21580)
PROFILED_OF_ALL = 0.012
# Figure 4, chapter 3.2, companies: customer and company, customer alone, company alone.
CONTROL = _of(45, 30, 10)
CONTROL_FEE = _of(58, 27)
# Figure 5, chapter 3.3, companies: AMS, integrated, both, neither.
UNMETERED = _of(39, 6, 2, 27)
# Figure 6, chapter 4: exempt, not assessed, under way, other.
JOINT = (0.329, 0.127, 0.366, 0.179)
HAN_OPEN = 160_000 / 3_240_000
# Figure 7, chapter 6.1, companies: alone, with an alliance, with hired help, hired alone.
COMPETENCE = _of(33, 52, 10, 1)
# Figure 8, chapter 6.2, companies: ready, within a week, a month, a year, later or never.
LIMIT = (0.063, 0.198, 0.396, 0.198, 0.145)
# Figures 9 to 11, chapter 7.1: companies of which all points, or more than three quarters, are
# ready. The figures' other bars are not known here.
QUARTERS = {"consumption": (45, 10), "infeed": (50, 7), "exchange": (37, 12)}
# Chapter 2.1: makes of meters, companies.
MAKES = {"kamstrup": 55, "aidon": 38, "kaifa": 20}
