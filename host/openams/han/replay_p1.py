"""What crosses over to the meter of a P1 telegram: values, times, counters and sub-meters."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from openams.han.errors import HanError
from openams.han.p1 import Line, decimal_of, utc_of
from openams.han.reading import Reading
from openams.meter_time import EPOCH, NORWAY, from_utc_ms

_COUNTERS = ("0-0:96.7.21", "0-0:96.7.9", "1-0:32.32.0", "1-0:52.32.0", "1-0:72.32.0",
             "1-0:32.36.0", "1-0:52.36.0", "1-0:72.36.0")  # fmt: skip
# Where a telegram has the meter's numbers.
_NUMBERS = {"lu": ("0-0:42.0.0",), "hu": ("0-0:42.0.0", "0-0:96.1.0")}
_NUMBER = ("0-0:96.1.1",)
_RATES = (1, 2, 3, 4)
# Scaler and COSEM unit of thousandths of it; of a channel without a meter there is none.
_UNITS = {"m3": [-3, 13], "GJ": [6, 31]}


def kind_of_meter(reading: Reading) -> tuple[str, dict[str, Any]]:
    """(variant, options). Raises HanError for a telegram of no known kind."""
    kind = reading.traits["kind"]
    if kind is None:
        raise HanError("the telegram is of no country or maker that this meter knows")
    options: dict[str, Any] = {"head": reading.traits["head"] + "*"}
    if reading.list_version is not None:
        options["version"] = int(reading.list_version)
    return kind, options


def request_of(reading: Reading, utc_ms: int) -> dict[str, Any]:
    """`more` and `summer_time` of the request, see boards/unix/push_request.py."""
    lines: list[Line] = reading.traits["lines"]
    by_name = {line.name: line.groups for line in lines}
    more: dict[str, Any] = {
        "equipment": [
            by_name.get(name, ("",))[0] for name in _NUMBERS.get(reading.traits["kind"], _NUMBER)
        ],
        "rate": int(by_name.get("0-0:96.14.0", ("1",))[0]),
        "counts": [int(by_name.get(name, ("0",))[0]) for name in _COUNTERS],
        "connected": by_name.get("0-0:96.3.10", ("1",))[0] == "1",
        "subs": _sub_meters(by_name),
    }
    if "1-0:1.8.1" in by_name:
        more["rates"] = [
            [which, rate, 1000 * int(reading.values.get(f"{name}_rate_{rate}_{unit}", 0)), 0]
            for which, name, unit in ((0, "a_plus", "wh"), (1, "a_minus", "wh"),
                                      (2, "r_plus", "varh"), (3, "r_minus", "varh"))
            for rate in _RATES
        ]  # fmt: skip
    for name, key, read in (
        ("1-0:99.97.0", "failures", _failures),
        ("1-0:1.4.0", "demand_mw", lambda groups: _scaled(groups[0], 10**6)),
        ("1-0:1.6.0", "maximum", lambda groups: [[_ms(groups[0]), _scaled(groups[1], 10**6)]]),
        ("0-0:98.1.0", "months", _months),
        ("0-0:17.0.0", "limit_mw", lambda groups: _scaled(groups[0], 10**6)),
        ("1-0:31.4.0", "limit_ma", lambda groups: _scaled(groups[0], 1000)),
        ("1-1:31.4.0", "limit_ma", lambda groups: _scaled(groups[0], 1000)),
        ("1-0:13.7.0", "power_factors", lambda _: _factors(reading)),
    ):
        if name in by_name:
            more[key] = read(by_name[name])
    return {"more": more, "summer_time": _summer_time(lines, utc_ms)}


def _scaled(text: str, factor: int) -> int:
    return int(decimal_of(text.partition("*")[0], "an element") * factor)


def _ms(text: str) -> int | None:
    when = utc_of(text)
    return None if when is None else _since_epoch(when)


def _since_epoch(when: datetime) -> int:
    return round((when - EPOCH.replace(tzinfo=None)).total_seconds() * 1000)


def _failures(groups: tuple[str, ...]) -> list[list[int | None]]:
    times, lengths = groups[2::2], groups[3::2]
    if len(times) != len(lengths):
        raise HanError("the failures of 1-0:99.97.0 are no pairs of time and duration")
    return [[_ms(a), _scaled(b, 1)] for a, b in zip(times, lengths, strict=True)]


def _months(groups: tuple[str, ...]) -> list[list[int | None]]:
    if len(groups) < 3 or len(groups) % 3:
        raise HanError("the months of 0-0:98.1.0 are not those of a demand meter")
    return [
        [_ms(groups[at]), _ms(groups[at + 1]), _scaled(groups[at + 2], 10**6)]
        for at in range(3, len(groups), 3)
    ]


def _factors(reading: Reading) -> list[int]:
    """Of the phases and of all, in thousandths."""
    names = ("power_factor_l1", "power_factor_l2", "power_factor_l3", "power_factor")
    return [int(reading.values.get(name, 0) * 1000) for name in names]


def _sub_meters(by_name: dict[str, tuple[str, ...]]) -> list[list[Any]]:
    out: list[list[Any]] = []
    for channel in range(1, 10):
        device = by_name.get(f"0-{channel}:24.1.0")
        if device is None:
            continue
        serial = by_name.get(f"0-{channel}:96.1.0") or by_name.get(f"0-{channel}:96.1.1") or ("",)
        read = by_name.get(f"0-{channel}:24.2.1") or by_name.get(f"0-{channel}:24.2.3")
        entry: list[Any] = [channel, _scaled(device[0], 1), serial[0], None, None, 0, 0]
        if read is not None and len(read) == 2:
            unit = read[1].partition("*")[2]
            entry[3] = _ms(read[0])
            entry[4] = _scaled(read[1], 1000 if unit else 1)
            entry[5:] = _UNITS.get(unit, [0, 0])
        out.append(entry)
    return out


def _summer_time(lines: list[Line], utc_ms: int) -> bool:
    """Whether the meter changes to summer time: its telegram says S, or W in winter."""
    stamp = next((line.groups[0] for line in lines if line.name == "0-0:1.0.0"), "")
    if stamp.endswith("S"):
        return True
    offset = from_utc_ms(utc_ms).astimezone(NORWAY).utcoffset()
    return offset is None or offset.total_seconds() == 3600
