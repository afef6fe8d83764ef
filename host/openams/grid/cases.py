"""Grid cases: steady waveforms whose quantities are known by formula."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from openams.grid.scenario import PAIRS, SYSTEMS, Samples, Scenario, ScenarioError

Component = tuple[int, float, float]
# A period of more sample sets than this is not worth keeping.
_LONGEST_PERIOD = 400_000
_LONGEST_S = 1e6
_EXPECTED = (
    "active_power_w", "reactive_power_var", "a_plus_wh", "a_minus_wh", "r_plus_varh",
    "r_minus_varh",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """x(t) = sum of sqrt(2) * rms * cos(2*pi*harmonic*f*t + phase) per channel.

    `voltage` and `current`: channel -> list of (harmonic, rms in V or A,
    phase in degrees). `expected` may be None.
    """

    name: str
    system: str
    frequency_hz: float
    duration_s: float
    voltage: dict[str, list[Component]]
    current: dict[str, list[Component]]
    expected: dict[str, Any] | None
    limit_percent: dict[str, float]
    note: str = ""

    def scenario(self) -> CaseScenario:
        return CaseScenario(self)


class CaseScenario(Scenario):
    """A case as a waveform; exact in phase over any length."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.name = case.name
        self.system = case.system
        self.duration_s = case.duration_s
        self._components = [
            components
            for u, i in PAIRS[case.system]
            for components in (case.voltage[u], case.current[i])
        ]

    def waveform(self, turns: Samples) -> Samples:
        """(n, channels) for the fundamental's angle in turns, shape (n,)."""
        out = np.zeros((len(turns), len(self._components)))
        for channel, components in enumerate(self._components):
            for harmonic, rms, phase in components:
                angle = 2 * np.pi * ((harmonic * turns) % 1.0) + math.radians(phase)
                out[:, channel] += math.sqrt(2) * rms * np.cos(angle)
        return out

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        step = Fraction(str(self.case.frequency_hz)) / sample_rate_hz
        total = round(self.case.duration_s * sample_rate_hz)
        period = step.denominator
        if period <= min(_LONGEST_PERIOD, total):
            index = np.arange(period, dtype=np.int64) * step.numerator % period
            one = self.waveform(np.asarray(index / period, dtype=np.float64))
            repeats = -(-block // period) + 1
            kept = np.concatenate([one] * repeats)
            for at in range(0, total, block):
                first = at % period
                yield kept[first : first + min(block, total - at)]
            return
        for at in range(0, total, block):
            index = np.arange(at, min(at + block, total), dtype=np.int64)
            yield self.waveform(np.asarray(index * float(step) % 1.0, dtype=np.float64))


def _number(value: Any, what: str, where: str) -> float:
    try:
        if not isinstance(value, bool) and isinstance(value, (int, float)):
            number = float(value)
            if math.isfinite(number):
                return number
    except OverflowError:
        raise ScenarioError(f"{where}: {what} is too large") from None
    raise ScenarioError(f"{where}: {what} must be a number, not {value!r}")


def _components(channels: Any, key: str, names: set[str], where: str) -> dict[str, list[Component]]:
    if not isinstance(channels, dict) or set(channels) != names:
        raise ScenarioError(f"{where}: {key} must have the channels {', '.join(sorted(names))}")
    out: dict[str, list[Component]] = {}
    for name, components in channels.items():
        if not isinstance(components, list):
            raise ScenarioError(f"{where}: {key}.{name} must be a list")
        out[name] = []
        for component in components:
            if not isinstance(component, list) or len(component) != 3:
                raise ScenarioError(
                    f"{where}: {key}.{name} must hold [harmonic, rms, phase in degrees]"
                )
            harmonic = _number(component[0], f"{key}.{name}: harmonic", where)
            if harmonic != int(harmonic) or not 0 <= harmonic <= 100:
                raise ScenarioError(f"{where}: {key}.{name}: harmonic must be 0 to 100")
            rms = _number(component[1], f"{key}.{name}: rms", where)
            if rms < 0:
                raise ScenarioError(
                    f"{where}: {key}.{name}: rms must not be below 0: turn the phase by 180 degrees"
                )
            phase = _number(component[2], f"{key}.{name}: phase", where)
            out[name].append((int(harmonic), rms, phase))
    return out


def _expected(expected: Any, pairs: tuple[tuple[str, str], ...], where: str) -> Any:
    """None, or an object of numbers: any of the quantities; further keys are let be."""
    if not expected and (expected is None or isinstance(expected, dict)):
        return None
    if not isinstance(expected, dict):
        raise ScenarioError(f"{where}: expected must be an object")
    for key in _EXPECTED:
        if key in expected:
            _number(expected[key], f"expected.{key}", where)
    for key, names in (("voltage_v", {u for u, _ in pairs}), ("current_a", {i for _, i in pairs})):
        channels = expected.get(key, {})
        if not isinstance(channels, dict):
            raise ScenarioError(f"{where}: expected.{key} must be an object")
        for name in sorted(names & set(channels)):
            _number(channels[name], f"expected.{key}.{name}", where)
    return expected


def _case(record: Any, where: str) -> Case:
    if not isinstance(record, dict):
        raise ScenarioError(f"{where}: a case must be an object")
    name = record.get("name")
    if not isinstance(name, str) or not name:
        raise ScenarioError(f"{where}: name must be a text")
    where = f"{where} ({name})"
    system = record.get("system")
    if system not in SYSTEMS:
        raise ScenarioError(f"{where}: system must be one of {', '.join(SYSTEMS)}")
    frequency = _number(record.get("frequency_hz"), "frequency_hz", where)
    if not 40 <= frequency <= 70:
        raise ScenarioError(f"{where}: frequency_hz must lie between 40 and 70")
    duration = _number(record.get("duration_s"), "duration_s", where)
    if not 0 < duration <= _LONGEST_S:
        raise ScenarioError(f"{where}: duration_s must be more than 0, to {_LONGEST_S:.0f} at most")
    limits = record.get("limit_percent") or {"active": 1.0, "reactive": 1.0}
    if not isinstance(limits, dict):
        raise ScenarioError(f"{where}: limit_percent must be an object")
    return Case(
        name=name,
        system=system,
        frequency_hz=frequency,
        duration_s=duration,
        voltage=_components(record.get("voltage"), "voltage", {u for u, _ in PAIRS[system]}, where),
        current=_components(record.get("current"), "current", {i for _, i in PAIRS[system]}, where),
        expected=_expected(record.get("expected"), PAIRS[system], where),
        limit_percent={
            key: _number(limits.get(key, 1.0), f"limit_percent.{key}", where)
            for key in ("active", "reactive")
        },
        note=str(record.get("note", "")),
    )


def load_cases(path: Path) -> list[Case]:
    """All cases of a JSON file: a list of cases, or one case. Raises ScenarioError."""
    if path.suffix.lower() in (".cfg", ".cff", ".csv", ".txt", ".dat"):
        raise ScenarioError(
            f"{path} is a recording, no waveform cases: play it with ams run --scenario {path}"
        )
    try:
        records = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ScenarioError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"{path} is no JSON: {error}") from None
    if isinstance(records, dict):
        records = records.get("cases", [records])
    if not isinstance(records, list) or not records:
        raise ScenarioError(f"{path} holds no cases: it must be a list of cases")
    return [_case(record, f"{path}: case {k + 1}") for k, record in enumerate(records)]


def pick_case(path: Path, name: str | None) -> CaseScenario:
    """One case of a file as a scenario; the name may be left out if there is one."""
    cases = load_cases(path)
    if name is None:
        if len(cases) == 1:
            return cases[0].scenario()
        raise ScenarioError(f"{path} has {len(cases)} cases: add #NAME, one of {_some(cases)}")
    for case in cases:
        if case.name == name:
            return case.scenario()
    raise ScenarioError(f"{path} has no case {name!r}: it has {_some(cases)}")


def _some(cases: list[Case]) -> str:
    names = ", ".join(repr(case.name) for case in cases[:3])
    return names + (" ..." if len(cases) > 3 else "")
