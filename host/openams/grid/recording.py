"""Recorded waveforms: COMTRADE (IEC 60255-24), by the package `comtrade`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import comtrade
import numpy as np

from openams.grid.scenario import PAIRS, Samples, Scenario, ScenarioError

_POINTS = 6
# What the package raises on files that are no COMTRADE, by trial with damaged ones.
_UNREADABLE = (
    comtrade.ComtradeError, OSError, ValueError, LookupError, TypeError, AttributeError,
    ArithmeticError, MemoryError, struct.error,
)  # fmt: skip
_UNITS = {"V": 1.0, "KV": 1e3, "MV": 1e-3, "A": 1.0, "KA": 1e3, "MA": 1e-3}
_PHASES = {
    "A": "L1", "L1": "L1", "1": "L1", "R": "L1", "AN": "L1", "L1N": "L1",
    "B": "L2", "L2": "L2", "2": "L2", "S": "L2", "BN": "L2", "L2N": "L2",
    "C": "L3", "L3": "L3", "3": "L3", "T": "L3", "CN": "L3", "L3N": "L3",
    "AB": "U12", "L12": "U12", "L1L2": "U12", "12": "U12", "RS": "U12", "U12": "U12",
    "CB": "U32", "L32": "U32", "L3L2": "U32", "32": "U32", "U32": "U32",
    "BC": "U23", "L23": "U23", "L2L3": "U23", "23": "U23", "ST": "U23", "U23": "U23",
}  # fmt: skip


class Recording(Scenario):
    """A waveform that was recorded: (n, channels) at its own rate, interpolated.

    The 6-point Lagrange interpolation reads 50 Hz recorded at 1 kS/s right to
    0.001 %, where straight lines between the points lose 1.5 % of the power.
    """

    def __init__(self, name: str, system: str, times: Samples, values: Samples) -> None:
        self.name = name
        self.system = system
        self._times = times - times[0]
        self._values = values
        self.duration_s = float(self._times[-1])

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        total = int(self._times[-1] * sample_rate_hz + 1e-9) + 1
        for at in range(0, total, block):
            t = np.arange(at, min(at + block, total)) / sample_rate_hz
            yield interpolate(t, self._times, self._values)


def interpolate(t: Samples, times: Samples, values: Samples) -> Samples:
    """Values (n, channels) at `t`, of `values` (m, channels) at the rising `times` (m,).

    By the polynomial through the six points around each time, fewer where
    there are fewer; the points need not be evenly spaced.
    """
    points = min(_POINTS, len(times))
    first = np.searchsorted(times, t, side="right") - points // 2
    first = np.clip(first, 0, len(times) - points)
    near = first[:, None] + np.arange(points)
    x = times[near]
    out = np.zeros((len(t), values.shape[1]))
    for k in range(points):
        weight = np.ones(len(t))
        for other in range(points):
            if other != k:
                weight *= (t - x[:, other]) / (x[:, k] - x[:, other])
        out += weight[:, None] * values[near[:, k]]
    return out


def load_comtrade(path: Path) -> Recording:
    """A .cfg with its .dat, or a .cff. Raises ScenarioError."""
    record = comtrade.Comtrade(ignore_warnings=True)
    try:
        if path.suffix.lower() == ".cff":
            record.load(str(path))
        else:
            record.load(str(path), str(_data_file(path)))
    except ScenarioError:
        raise
    except _UNREADABLE as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise ScenarioError(f"{path} cannot be read as COMTRADE: {why}") from None
    if record.total_samples < 2:
        raise ScenarioError(f"{path} holds no samples")
    found = _channels(record, path)
    system = _system(found, path)
    times = np.array(record.time, dtype=np.float64)
    if not np.all(np.isfinite(times)) or not np.all(np.diff(times) > 0):
        raise ScenarioError(f"{path}: its times do not go forward")
    columns = [
        found[kind, name] for pair in PAIRS[system] for kind, name in zip("ui", pair, strict=True)
    ]
    values = np.stack(columns, axis=1)
    holes = np.flatnonzero(~np.all(np.isfinite(values), axis=1))
    if len(holes):
        raise ScenarioError(f"{path}: sample {holes[0] + 1} has no value on a channel")
    return Recording(path.name, system, times, values)


def _data_file(path: Path) -> Path:
    for candidate in (path.with_suffix(".dat"), path.with_suffix(".DAT")):
        if candidate.is_file():
            return candidate
    raise ScenarioError(f"no {path.with_suffix('.dat').name} beside {path}")


def _channels(record: comtrade.Comtrade, path: Path) -> dict[tuple[str, str], Samples]:
    """Analog channels as (u or i, phase) -> primary values in volts or amperes."""
    found: dict[tuple[str, str], Samples] = {}
    for channel, values in zip(record.cfg.analog_channels, record.analog, strict=True):
        unit = channel.uu.strip().upper()
        if unit not in _UNITS:
            continue
        kind = "u" if unit.endswith("V") else "i"
        phase = _phase(channel.ph) or _phase_of_name(channel.name)
        if phase is None or (kind, phase) in found:
            continue
        ratio = 1.0
        if channel.pors.strip().upper() == "S" and channel.secondary:
            ratio = channel.primary / channel.secondary
        series = np.array(values, dtype=np.float64) * (_UNITS[unit] * ratio)
        if phase == "U23":
            phase, series = "U32", -series
        found[kind, phase] = series
    if not found:
        raise ScenarioError(
            f"{path} has no analog channel with a phase (A, B, C, L1, AB ...) and a unit (V, A)"
        )
    return found


def _phase(text: str) -> str | None:
    return _PHASES.get(text.strip().upper().replace("-", "").replace(" ", ""))


def _phase_of_name(name: str) -> str | None:
    """U_L1, VA, I3 and the like: the name less its leading quantity letter."""
    plain = name.strip().upper().replace("_", "").replace("-", "").replace(" ", "")
    return _phase(plain) or _phase(plain.lstrip("UVI"))


def _system(found: dict[tuple[str, str], Samples], path: Path) -> str:
    for system in ("3P4W", "3P3W", "1P2W"):
        if all(("u", u) in found and ("i", i) in found for u, i in PAIRS[system]):
            return system
    have = ", ".join(f"{kind.upper()} {phase}" for kind, phase in sorted(found))
    raise ScenarioError(
        f"{path} has {have}; a meter needs U and I of L1, or of L1, L2, L3, or U12, U32, I L1, L3"
    )
