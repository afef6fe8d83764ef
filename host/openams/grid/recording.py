"""Recorded waveforms: COMTRADE (IEC 60255-24)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from openams.grid.comtrade import Record, record_of, sections
from openams.grid.comtrade_cfg import Channel, FormatError, settings_of, text_of
from openams.grid.scenario import PAIRS, Samples, Scenario, ScenarioError

_POINTS = 6
# A capital M is SI's mega; recorders that mean it are rare, so it is said.
_UNITS = {
    "V": 1.0, "kV": 1e3, "KV": 1e3, "mV": 1e-3, "MV": 1e6, "uV": 1e-6, "v": 1.0, "kv": 1e3,
    "A": 1.0, "kA": 1e3, "KA": 1e3, "mA": 1e-3, "MA": 1e6, "uA": 1e-6, "a": 1.0, "ka": 1e3,
}  # fmt: skip
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
    `skews_s`: how long after `times` each channel was sampled.
    """

    def __init__(
        self,
        name: str,
        system: str,
        times: Samples,
        values: Samples,
        skews_s: Sequence[float] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.system = system
        self.notes = tuple(notes)
        skews = np.array(skews_s or [0.0] * values.shape[1])
        self._times = times
        self._values = values
        self._skews = skews
        # From when on, and until when, every channel has samples.
        self._begin = float(times[0] + np.max(skews))
        self._length = float(times[-1] + np.min(skews)) - self._begin
        self.duration_s = self._length

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        total = int(self._length * sample_rate_hz + 1e-9) + 1
        for at in range(0, total, block):
            t = self._begin + np.arange(at, min(at + block, total)) / sample_rate_hz
            out = np.empty((len(t), self._values.shape[1]))
            for skew in np.unique(self._skews):
                some = self._skews == skew
                out[:, some] = interpolate(t - skew, self._times, self._values[:, some])
            yield out


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
    record = _read(path)
    notes = list(record.notes)
    found = _channels(record, path, notes)
    system = _system(found, path)
    chosen = [
        found[kind, name] for pair in PAIRS[system] for kind, name in zip("ui", pair, strict=True)
    ]
    values = np.stack([series for _, series in chosen], axis=1)
    holes = np.flatnonzero(~np.all(np.isfinite(values), axis=1))
    if len(holes):
        place = int(np.flatnonzero(~np.isfinite(values[holes[0]]))[0])
        raise ScenarioError(
            f"{path}: sample {holes[0] + 1} has no value on channel {chosen[place][0].name}"
        )
    skews = [channel.skew_s for channel, _ in chosen]
    if max(skews) - min(skews) >= record.times_s[-1]:
        raise ScenarioError(f"{path}: its channels are sampled at times that have none in common")
    return Recording(path.name, system, record.times_s, values, skews, notes)


def _read(path: Path) -> Record:
    data_file = path
    try:
        if path.suffix.lower() == ".cff":
            text, kind, data = sections(path.read_bytes())
        else:
            text, kind = text_of(path.read_bytes()), ""
            data_file = _data_file(path)
            data = data_file.read_bytes()
        settings = settings_of(text)
    except OSError as error:
        raise ScenarioError(f"cannot read {error.filename or path}: {error.strerror}") from None
    except FormatError as error:
        raise ScenarioError(f"{path} cannot be read as COMTRADE: {error}") from None
    try:
        return record_of(settings, data, kind)
    except FormatError as error:
        raise ScenarioError(f"{data_file} cannot be read as COMTRADE: {error}") from None


def _data_file(path: Path) -> Path:
    """The .dat of the same name, whatever the case of its letters."""
    wanted = path.with_suffix(".dat").name
    for name in (wanted, path.with_suffix(".DAT").name):
        if (path.parent / name).is_file():
            return path.parent / name
    for candidate in sorted(path.parent.iterdir()):
        if candidate.name.lower() == wanted.lower():
            return candidate
    raise ScenarioError(f"no {wanted} beside {path}")


Found = dict[tuple[str, str], tuple[Channel, Samples]]


def _channels(record: Record, path: Path, notes: list[str]) -> Found:
    """Analog channels as (u or i, phase) -> primary values in volts or amperes."""
    found: Found = {}
    open_side: list[str] = []
    for place, channel in enumerate(record.settings.channels):
        unit = channel.unit.strip()
        if unit not in _UNITS:
            continue
        kind = "u" if unit[-1] in "vV" else "i"
        phase = _phase(channel.phase) or _phase_of_name(channel.name)
        if phase is None:
            continue
        sign = 1.0
        if phase == "U23":
            phase, sign = "U32", -1.0
        if (kind, phase) in found:
            first = found[kind, phase][0].name
            notes.append(f"{kind.upper()} {phase} is there twice: {first} is taken, "
                         f"not {channel.name}")  # fmt: skip
            continue
        factor = sign * _UNITS[unit] * _ratio(channel, notes, open_side)
        if unit in ("MV", "MA"):
            notes.append(f"channel {channel.name} is in {unit}: taken as mega, 10^6")
        series = channel.a * record.values[:, place] + channel.b
        found[kind, phase] = (channel, series * factor)
    if not found:
        raise ScenarioError(
            f"{path} has no analog channel with a phase (A, B, C, L1, AB ...) and a unit (V, A)"
        )
    if open_side:
        notes.append(
            f"it does not say whether {', '.join(open_side)} are primary or secondary values: "
            "taken as primary"
        )
    return found


def _ratio(channel: Channel, notes: list[str], open_side: list[str]) -> float:
    """What makes primary values of it."""
    if channel.side == "P":
        return 1.0
    if not channel.side:
        open_side.append(channel.name)
        return 1.0
    if not channel.primary or not channel.secondary:
        notes.append(f"channel {channel.name} is secondary and has no ratio: taken as primary")
        return 1.0
    return channel.primary / channel.secondary


def _phase(text: str) -> str | None:
    return _PHASES.get(text.strip().upper().replace("-", "").replace(" ", ""))


def _phase_of_name(name: str) -> str | None:
    """U_L1, VA, I3 and the like: the name less its leading quantity letter."""
    plain = name.strip().upper().replace("_", "").replace("-", "").replace(" ", "")
    return _phase(plain) or _phase(plain.lstrip("UVI"))


def _system(found: Found, path: Path) -> str:
    for system in ("3P4W", "3P3W", "1P2W"):
        if all(("u", u) in found and ("i", i) in found for u, i in PAIRS[system]):
            return system
    have = ", ".join(f"{kind.upper()} {phase}" for kind, phase in sorted(found))
    raise ScenarioError(
        f"{path} has {have}; a meter needs U and I of L1, or of L1, L2, L3, or U12, U32, I L1, L3"
    )
