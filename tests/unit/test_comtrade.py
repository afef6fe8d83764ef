"""COMTRADE as recorders write it: every revision and kind of data carries the same power."""

from __future__ import annotations

import itertools
import json
import random
import struct

import numpy as np
import pytest
from typer.testing import CliRunner

from openams.cli.main import app
from openams.grid.comtrade import record_of, sections
from openams.grid.comtrade_cfg import FormatError, settings_of
from openams.grid.recording import load_comtrade
from openams.grid.registry import load
from openams.grid.scenario import ScenarioError

KINDS = ("ASCII", "BINARY", "BINARY32", "FLOAT32")
WORDS = {"BINARY": "h", "BINARY32": "i", "FLOAT32": "f"}
# 230 V and 10 A in phase.
POWER_W = 2300.0
U_PEAK, I_PEAK = 230 * np.sqrt(2), 10 * np.sqrt(2)


class Recorder:
    """Writes a record of a house of 2300 W in any form; what is not said otherwise is usual."""

    def __init__(self, **how):
        self.revision = how.pop("revision", 1999)
        self.kind = how.pop("kind", "ASCII")
        self.rate = how.pop("rate", 4000)
        # (rate, last sample); None: the one rate, and as many as there are.
        self.rates = how.pop("rates", None)
        self.times = how.pop("times", None)
        self.digital = how.pop("digital", 0)
        self.skew_us = how.pop("skew_us", (0, 0))
        self.side = how.pop("side", "P")
        self.ratio = how.pop("ratio", (1, 1))
        self.units = how.pop("units", ("V", "A"))
        self.base_s = how.pop("base_s", 1e-6)
        self.multiplier = how.pop("multiplier", 1)
        self.start = how.pop("start", None)
        self.first = how.pop("first", 1)
        self.stamps = how.pop("stamps", True)
        self.end = how.pop("end", "\r\n")
        self.encoding = how.pop("encoding", "utf-8")
        self.station = how.pop("station", "station")
        self.stamp_offset = how.pop("stamp_offset", 0)
        self.leave_out = how.pop("leave_out", ())
        assert not how, how
        if self.times is None:
            self.times = np.arange(800) / self.rate

    def codes(self):
        """(n, 2) of what the recorder holds: 0.02 V and 1 mA a code."""
        out = []
        for peak, lsb, skew in zip((U_PEAK, I_PEAK), (0.02, 0.001), self.skew_us, strict=True):
            out.append(peak * np.cos(2 * np.pi * 50 * (self.times + skew * 1e-6)) / lsb)
        return np.stack(out, axis=1)

    def cfg(self):
        primary, secondary = self.ratio
        lines = [
            ",".join([self.station, "device", *([str(self.revision)] * (self.revision > 1991))])
        ]
        lines.append(f"{2 + self.digital},2A,{self.digital}D")
        # Where the values are secondary they are smaller by the ratio.
        scale = secondary / primary if self.side == "S" else 1
        prefix = {"k": 1e-3, "m": 1e3}
        for k, (name, phase, unit, lsb) in enumerate(
            (("UA", "A", self.units[0], 0.02), ("IA", "A", self.units[1], 0.001))
        ):
            a = lsb * scale * prefix.get(unit[0], 1)
            fields = [k + 1, name, phase, "", unit, repr(a), 0, self.skew_us[k], -32767, 32767]
            if self.revision > 1991:
                fields += [primary, secondary, self.side]
            lines.append(",".join(map(str, fields)))
        for k in range(self.digital):
            more = ",,0" if self.revision > 1991 else ",0"
            lines.append(f"{k + 1},trip {k}{more}")
        rates = self.rates if self.rates is not None else [(self.rate, len(self.times))]
        lines += ["50", str(sum(rate > 0 for rate, _ in rates) if len(rates) == 1 else len(rates))]
        lines += [f"{rate},{last}" for rate, last in rates]
        digits = "000000000" if self.base_s < 1e-6 else "000000"
        date = "01/31/24" if self.revision == 1991 else "31/01/2024"
        lines += [self.start or f"{date},00:00:00.{digits}"] * 2
        lines.append(self.kind)
        if self.revision > 1991:
            lines.append(str(self.multiplier))
        if self.revision == 2013:
            lines += ["+1,+1", "0,0"]
        return self.end.join(lines) + self.end

    def stamp(self, k):
        unit = self.base_s * self.multiplier
        return round(self.times[k] / unit) + self.stamp_offset

    def dat(self):
        words = (self.digital + 15) // 16
        out = []
        for k, row in enumerate(self.codes()):
            n = self.first + k
            if n in self.leave_out:
                continue
            if self.kind == "ASCII":
                stamp = str(self.stamp(k)) if self.stamps else ""
                row = [str(n), stamp, *(str(round(x)) for x in row), *["1"] * self.digital]
                out.append((",".join(row) + self.end).encode())
                continue
            stamp = self.stamp(k) % (1 << 32) if self.stamps else 0xFFFFFFFF
            values = row if self.kind == "FLOAT32" else [round(x) for x in row]
            form = f"<II2{WORDS[self.kind]}{words}H"
            out.append(struct.pack(form, n, stamp, *values, *[0xFFFF] * words))
        return b"".join(out)

    def write(self, folder, name="rec"):
        path = folder / f"{name}.cfg"
        path.write_bytes(self.cfg().encode(self.encoding))
        path.with_suffix(".dat").write_bytes(self.dat())
        return path

    def write_cff(self, folder, size=True):
        data = self.dat()
        kind = "ASCII" if self.kind == "ASCII" else "BINARY"
        length = f": {len(data)}" if kind == "BINARY" and size else ""
        parts = [
            b"--- file type: CFG ---\r\n", self.cfg().encode(self.encoding),
            b"--- file type: INF ---\r\n[Public]\r\n", b"--- file type: HDR ---\r\nno words\r\n",
            f"--- file type: DAT {kind}{length} ---\r\n".encode(), data,
        ]  # fmt: skip
        path = folder / "rec.cff"
        path.write_bytes(b"".join(parts))
        return path


def power(scenario):
    """P and Q of whole cycles, as a meter would see them."""
    samples = np.concatenate(list(scenario.samples(4000, 77)))
    cycles = len(samples) // 80
    assert cycles >= 1
    samples = samples[: 80 * cycles]
    n = np.arange(len(samples))
    turn = np.exp(-2j * np.pi * n / 80)
    u, i = (2 * np.mean(samples[:, k] * turn) for k in (0, 1))
    s = u * np.conj(i) / 2
    return s.real, s.imag


def assert_house(path, rel=2e-4):
    scenario = load(str(path))
    p, q = power(scenario)
    assert p == pytest.approx(POWER_W, rel=rel)
    assert q == pytest.approx(0, abs=POWER_W * rel)
    return scenario


# --- every form ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "revision, kind, digital",
    [(r, k, d) for r, k, d in itertools.product((1991, 1999, 2013), KINDS, (0, 3, 17))
     if r == 2013 or k in ("ASCII", "BINARY")],
)  # fmt: skip
def test_revisions_and_kinds(revision, kind, digital, tmp_path):
    scenario = assert_house(Recorder(revision=revision, kind=kind, digital=digital).write(tmp_path))
    # 1991 has no word for the side that its values are of: it is said what was made of it.
    assert [("does not say whether UA, IA" in note) for note in scenario.notes] == (
        [True] if revision == 1991 else []
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [True, False])
def test_one_file_for_all(kind, size, tmp_path):
    """Some leave the length of binary data out: then they go to the end."""
    assert_house(Recorder(revision=2013, kind=kind, digital=2).write_cff(tmp_path, size))


def test_data_of_a_cff_may_look_like_a_section(tmp_path):
    recorder = Recorder(revision=2013, kind="FLOAT32")
    path = recorder.write_cff(tmp_path)
    text, kind, data = sections(path.read_bytes())
    assert data == recorder.dat() and kind == "BINARY"
    mark = b"\r\n--- file type: DAT ASCII ---\r\n"
    whole = path.read_bytes()
    at = len(whole) - len(data)
    path.write_bytes(whole[:at] + mark + whole[at + len(mark) :])
    assert sections(path.read_bytes())[2][: len(mark)] == mark


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize(
    "encoding, station",
    [("utf-8", "Ålesund ø"), ("utf-8-sig", "Ålesund"), ("latin-1", "Ålesund Ø"), ("cp1252", "Å–€"),
     ("utf-16", "Ålesund")],
)  # fmt: skip
def test_letters_and_line_ends_of_any_recorder(end, encoding, station, tmp_path):
    assert_house(Recorder(encoding=encoding, station=station, end=end).write(tmp_path))


@pytest.mark.parametrize("name", ["rec.DAT", "rec.Dat", "REC.dat"])
def test_the_data_beside_it_whatever_the_case_of_its_name(name, tmp_path):
    path = Recorder().write(tmp_path)
    path.with_suffix(".dat").rename(tmp_path / name)
    path.rename(tmp_path / "rec.CFG")
    assert_house(tmp_path / "rec.CFG")


# --- times -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("skew", [(0, 100), (100, 0), (-62.5, 62.5), (30, 30), (0, 900)])
def test_skew_of_a_channel_is_when_it_was_sampled(kind, skew, tmp_path):
    """Ignored, 100 us are -72 var of 2300 W."""
    assert_house(Recorder(revision=2013, kind=kind, skew_us=skew).write(tmp_path), rel=3e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offset", [0, 4_000_000_000, (1 << 32) - 100_000, 9_999_000_000])
def test_time_stamps_of_any_size_without_a_rate(kind, offset, tmp_path):
    """In single precision those from 4e9 us on step by 256; of 32 bits they begin anew."""
    recorder = Recorder(revision=2013, kind=kind, rates=[(0, 800)], stamp_offset=offset)
    scenario = assert_house(recorder.write(tmp_path))
    anew = kind != "ASCII" and offset == (1 << 32) - 100_000
    assert any("begin anew" in note for note in scenario.notes) == anew


@pytest.mark.parametrize("kind", KINDS)
def test_time_stamps_that_are_not_even(kind, tmp_path):
    times = np.cumsum(np.random.default_rng(1).uniform(150e-6, 250e-6, 1000)).round(6)
    recorder = Recorder(revision=2013, kind=kind, rates=[(0, 1000)], times=times)
    assert_house(recorder.write(tmp_path))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base_s", [1e-6, 1e-9])
@pytest.mark.parametrize("multiplier", [1, 0.1, 10, 250])
def test_unit_and_multiplier_of_the_time_stamps(kind, base_s, multiplier, tmp_path):
    recorder = Recorder(
        revision=2013, kind=kind, rates=[(0, 800)], base_s=base_s, multiplier=multiplier
    )
    assert_house(recorder.write(tmp_path))


def stepped(*parts, own=True):
    """Times of parts (rate, samples): the step between two is the next one's, or the former's."""
    times, at = [], 0.0
    for place, (rate, count) in enumerate(parts):
        for k in range(count):
            if times:
                step = rate if own or k else parts[place - 1][0]
                at += 1 / step
            times.append(at)
    return np.array(times)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    "parts",
    [((4000, 400), (1000, 200)), ((1000, 100), (8000, 800), (1200, 240)), ((4000, 1), (3200, 640))],
)
def test_several_rates(kind, own, parts, tmp_path):
    """Whose step leads from one to the next the standard leaves open; the stamps tell."""
    ends = list(itertools.accumulate(count for _, count in parts))
    rates = [(rate, end) for (rate, _), end in zip(parts, ends, strict=True)]
    recorder = Recorder(revision=2013, kind=kind, rates=rates, times=stepped(*parts, own=own))
    scenario = assert_house(recorder.write(tmp_path), rel=5e-4)
    assert scenario.notes == ()


def test_several_rates_without_time_stamps(tmp_path):
    parts = ((4000, 400), (1000, 200))
    recorder = Recorder(rates=[(4000, 400), (1000, 600)], times=stepped(*parts), stamps=False)
    assert_house(recorder.write(tmp_path))
    recorder.kind, recorder.revision = "BINARY32", 2013
    assert_house(recorder.write(tmp_path))


def test_a_part_with_a_rate_and_one_with_time_stamps(tmp_path):
    """Rate 0 says that the stamps of this part count."""
    fast = np.arange(400) / 4000
    slow = fast[-1] + np.cumsum(np.random.default_rng(2).uniform(4e-4, 6e-4, 300)).round(6)
    for rates, times in (
        ([(4000, 400), (0, 700)], np.concatenate((fast, slow))),
        ([(0, 300), (4000, 700)], np.concatenate((slow - slow[0], slow[-1] - slow[0] + 1 / 4000
                                                   + fast))),
    ):  # fmt: skip
        recorder = Recorder(revision=2013, kind="FLOAT32", rates=rates, times=times)
        assert_house(recorder.write(tmp_path), rel=1e-3)


@pytest.mark.parametrize("start", [
    "01/01/2024,00:00:00", "1/1/2024,0:0:0", "31/12/2016,23:59:60.000000", "01/01/2024,12:00:60.5",
    "01/01/2024,00:00:00.", "01/01/24,00:00:00.5", "31/01/1989,10:11:12.123456", ",",
    "01/01/2024,00:00:00.000", " 01/01/2024 , 00:00:00.250000 ", "01-01-2024,00:00:00.0",
])  # fmt: skip
def test_moments_as_recorders_write_them(start, tmp_path):
    assert assert_house(Recorder(start=start).write(tmp_path)).notes == ()


def test_a_moment_that_is_none_is_said_and_costs_nothing(tmp_path):
    scenario = assert_house(Recorder(start="yesterday,noon").write(tmp_path))
    assert "time of the first sample is none: yesterday,noon" in scenario.notes[0]


# --- what is said twice and differently, and what is not said -------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_more_or_fewer_samples_than_it_says(kind, tmp_path):
    scenario = assert_house(Recorder(revision=2013, kind=kind, rates=[(4000, 801)]).write(tmp_path))
    assert scenario.notes == ("it says that there are 801 samples and holds 800",)
    scenario = assert_house(Recorder(revision=2013, kind=kind, rates=[(4000, 640)]).write(tmp_path))
    assert "holds 800 samples and has a rate of 640" in scenario.notes[0]
    assert scenario.duration_s == pytest.approx(639 / 4000)


def test_a_record_that_is_cut_short(tmp_path):
    path = Recorder(revision=2013, kind="BINARY").write(tmp_path)
    data = path.with_suffix(".dat")
    data.write_bytes(data.read_bytes()[:-5])
    notes = load(str(path)).notes
    assert "the last 7 octets are no whole sample" in notes[0] and "holds 799" in notes[1]


@pytest.mark.parametrize("first", [0, 1, 500])
def test_wherever_the_numbers_of_the_samples_begin(first, tmp_path):
    last = 800 if first < 2 else first + 799
    scenario = assert_house(Recorder(first=first, rates=[(4000, last)]).write(tmp_path))
    assert scenario.duration_s == pytest.approx(799 / 4000)


def test_samples_that_are_left_out_take_their_time(tmp_path):
    for kind in KINDS:
        recorder = Recorder(revision=2013, kind=kind, leave_out=(10, 11, 400))
        scenario = assert_house(recorder.write(tmp_path), rel=2e-3)
        assert "3 samples are left out" in " ".join(scenario.notes)
        assert scenario.duration_s == pytest.approx(799 / 4000)


def test_a_rate_that_its_time_stamps_deny(tmp_path):
    recorder = Recorder(rates=[(4000, 800)])
    recorder.multiplier = 2
    path = recorder.write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"ASCII\r\n2", b"ASCII\r\n1"))
    scenario = assert_house(path)
    assert "0.19975 s long by its rate and 0.099" in scenario.notes[0]


@pytest.mark.parametrize("units", [("V", "A"), ("kV", "kA"), ("mV", "mA"), ("KV", "KA")])
@pytest.mark.parametrize("side, ratio", [("P", (1, 1)), ("P", (500, 1)), ("S", (500, 1)),
                                         ("s", (11000, 110)), ("p", (3, 2))])  # fmt: skip
def test_primary_and_secondary_values(units, side, ratio, tmp_path):
    recorder = Recorder(units=units, side=side.upper(), ratio=ratio, revision=2013, kind="FLOAT32")
    if units[0] == "KV":
        recorder.units = ("kV", "kA")
    path = recorder.write(tmp_path)
    text = path.read_text().replace(f",{side.upper()}\n", f",{side}\n")
    if units[0] == "KV":
        text = text.replace("kV", "KV").replace("kA", "KA")
    path.write_text(text)
    assert assert_house(path).notes == ()


def test_what_a_file_does_not_say_of_its_values(tmp_path):
    path = Recorder(side="").write(tmp_path)
    assert "UA, IA are primary or secondary values: taken as primary" in load(str(path)).notes[0]
    path = Recorder(side="S", ratio=(5, 1)).write(tmp_path)
    path.write_text(path.read_text().replace(",5,1,S", ",0,0,S"))
    assert "channel UA is secondary and has no ratio" in load(str(path)).notes[0]


def test_a_quantity_that_is_there_twice(tmp_path):
    path = Recorder().write(tmp_path)
    text = path.read_text().replace("2,2A,0D", "3,3A,0D")
    text = text.replace("2,IA", "2,UA2,A,,V,1,0,0,-1,1,1,1,P\n3,IA")
    path.write_text(text)
    data = path.with_suffix(".dat")
    rows = [line.split(",") for line in data.read_text().splitlines()]
    data.write_text("".join(",".join([*row[:3], "0", *row[3:]]) + "\n" for row in rows))
    assert "U L1 is there twice: UA is taken, not UA2" in assert_house(path).notes[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_without_a_value_is_an_error_with_its_place(kind, tmp_path):
    recorder = Recorder(revision=2013, kind=kind)
    path = recorder.write(tmp_path)
    data = path.with_suffix(".dat")
    if kind == "ASCII":
        lines = data.read_text().splitlines()
        number, stamp, u, _ = lines[400].split(",")
        lines[400] = f"{number},{stamp},{u},"
        data.write_text("\n".join(lines) + "\n")
    else:
        size = len(recorder.dat()) // 800
        missing = {"BINARY": b"\x00\x80", "BINARY32": b"\x00\x00\x00\x80",
                   "FLOAT32": struct.pack("<f", float("nan"))}[kind]  # fmt: skip
        octets = bytearray(data.read_bytes())
        octets[401 * size - len(missing) : 401 * size] = missing
        data.write_bytes(octets)
    with pytest.raises(ScenarioError, match="sample 401 has no value on channel IA"):
        load(str(path))


def test_99999_is_no_value_in_1991_and_one_later(tmp_path):
    for revision, bad in ((1991, True), (1999, False)):
        path = Recorder(revision=revision).write(tmp_path)
        data = path.with_suffix(".dat")
        lines = data.read_text().splitlines()
        lines[9] = ",".join([*lines[9].split(",")[:3], "99999"])
        data.write_text("\n".join(lines))
        if bad:
            with pytest.raises(ScenarioError, match="sample 10 has no value"):
                load(str(path))
        else:
            load(str(path))


# --- what cannot be read -------------------------------------------------------------------


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("2,2A,0D", "3,2A,0D", "line 2: 3 channels are not 2 analog and 0 digital"),
        ("2,2A,0D", "2,2X,0D", "line 2: '2X' is no number of channels"),
        ("1,UA,A,,V,0.02,0,0", "1,UA,A,,V,many,0,0", "line 3: the multiplier of channel UA is no"),
        ("1,UA,A,,V,0.02,0,0", "1,UA,A,,V,,0,0", "line 3: channel UA has no multiplier"),
        ("1,UA,A,,V,0.02,0,0", "1,UA,A,,V,0.02,0,long", "line 3: the skew of channel UA"),
        ("4000,800", "fast,800", "line 7: the sampling rate is no number: 'fast'"),
        ("4000,800", "-4000,800", "line 7: a sampling rate of -4000 Hz is none"),
        ("4000,800", "4000", "line 7: a sampling rate and its last sample are due"),
        ("ASCII", "ASKII", "line 10: the kind of data is 'ASKII': it is one of ASCII, BINARY"),
        ("ASCII\n1\n", "", "the kind of data is ''"),
        ("\n1\n", "\nx\n", "line 6: the number of sampling rates is no number"),
    ],
)
def test_settings_that_cannot_be_read(old, new, said, tmp_path):
    path = Recorder(end="\n").write(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ScenarioError) as caught:
        load(str(path))
    assert said in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda rows: [*rows[:9], rows[9].rsplit(",", 1)[0], *rows[10:]],
         "data line 10: 3 fields where 4 are due"),
        (lambda rows: [*rows[:9], rows[9].replace(",", ",x", 1), *rows[10:]],
         "data line 10 holds what is no number"),
        (lambda rows: [rows[1], rows[0], *rows[2:]], "sample number 1 comes behind 2"),
        (lambda rows: rows[:1], "holds no samples"),
        (lambda rows: [], "holds no samples"),
        (lambda rows: [*rows[:-1], rows[-1].replace("800,", "4000000000,", 1)], "by leaps"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_read(change, said, tmp_path):
    path = Recorder(end="\n").write(tmp_path)
    data = path.with_suffix(".dat")
    data.write_text("".join(f"{row}\n" for row in change(data.read_text().splitlines())))
    with pytest.raises(ScenarioError) as caught:
        load(str(path))
    assert said in str(caught.value) and str(data) in str(caught.value)


def test_time_stamps_that_stand_still_or_are_missing_where_they_count(tmp_path):
    path = Recorder(end="\n", rates=[(0, 800)]).write(tmp_path)
    data = path.with_suffix(".dat")
    rows = data.read_text().splitlines()
    data.write_text("\n".join([*rows[:5], rows[5].replace(",1250,", ",1000,"), *rows[6:]]))
    with pytest.raises(ScenarioError, match="sample 6 is not later than the one before"):
        load(str(path))
    data.write_text("\n".join([*rows[:5], rows[5].replace(",1250,", ",,"), *rows[6:]]))
    with pytest.raises(ScenarioError, match="sample 6 has no time stamp, and there is no rate"):
        load(str(path))


def test_a_cff_without_its_parts_or_cut_short(tmp_path):
    path = Recorder(revision=2013, kind="BINARY").write_cff(tmp_path)
    whole = path.read_bytes()
    for bad, said in (
        (whole.replace(b"DAT", b"DOT"), "no section DAT"),
        (whole[:-1], "and it ends before"),
        (whole.replace(b"DAT BINARY", b"DAT ASCII"), "its data are ASCII, and BINARY by its"),
        (b"", "no section CFG"),
    ):
        path.write_bytes(bad)
        with pytest.raises(ScenarioError, match=said):
            load(str(path))


@pytest.mark.parametrize("kind", [*KINDS, "CFF"])
def test_damaged_files_are_an_error_or_a_waveform(kind, tmp_path):
    recorder = Recorder(
        revision=2013, kind="BINARY" if kind == "CFF" else kind, times=np.arange(80) / 4000,
        digital=2,
    )  # fmt: skip
    path = recorder.write_cff(tmp_path) if kind == "CFF" else recorder.write(tmp_path)
    files = [path] if kind == "CFF" else [path, path.with_suffix(".dat")]
    good = {file: file.read_bytes() for file in files}
    rng = random.Random(7)
    refused = 0
    for _ in range(250):
        for file, octets in good.items():
            data = bytearray(octets)
            for _ in range(rng.randint(0, 2)):
                at = rng.randrange(len(data))
                data[at : at + rng.randint(0, 9)] = rng.choice(
                    (b"", b",", b"\n", b"\xff", b"9e9", b"-1", b"nan", b"\x00" * 8, b"0")
                )
            file.write_bytes(data)
        try:
            first = next(load(str(path)).samples(4000, 80))
            assert np.all(np.isfinite(first))
        except ScenarioError as error:
            refused += 1
            assert "\n" not in str(error)
    assert 0 < refused < 250


# --- another reader ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["pair", "cff"])
def test_another_reader_reads_the_same(kind, form, tmp_path):
    """Of what both can: one rate, no skew, values as they stand."""
    comtrade = pytest.importorskip("comtrade")
    recorder = Recorder(revision=2013, kind=kind, digital=3)
    path = recorder.write_cff(tmp_path) if form == "cff" else recorder.write(tmp_path)
    other = comtrade.Comtrade(ignore_warnings=True, use_double_precision=True)
    if form == "cff":
        other.load(str(path))
        text, section, data = sections(path.read_bytes())
    else:
        other.load(str(path), str(path.with_suffix(".dat")))
        text, section, data = path.read_text(), "", path.with_suffix(".dat").read_bytes()
    settings = settings_of(text)
    record = record_of(settings, data, section)
    assert np.allclose(record.times_s, other.time, atol=1e-9)
    for k, channel in enumerate(settings.channels):
        mine = channel.a * record.values[:, k] + channel.b
        assert np.allclose(mine, other.analog[k], rtol=1e-6)
    assert load_comtrade(path).system == "1P2W"


def test_errors_are_of_one_kind():
    with pytest.raises(FormatError, match="it ends before its"):
        settings_of("")


def test_what_a_record_leaves_open_is_said_before_it_runs(tmp_path):
    path = Recorder(rates=[(4000, 801)]).write(tmp_path)
    options = ("--scenario", str(path), "--speed", "max", "--runtime", "cpython", "--json")
    outcome = CliRunner().invoke(app, ["run", *options])
    assert outcome.exit_code == 0, outcome.output
    assert "ams: rec.cfg: it says that there are 801 samples and holds 800" in outcome.stderr
    assert json.loads(outcome.stdout)["quantities"]["total_active_power_mw"] == pytest.approx(
        2_300_000, rel=1e-4
    )
    with pytest.raises(ScenarioError, match="data of a COMTRADE record: name rec.cfg"):
        load(str(path.with_suffix(".dat")))
