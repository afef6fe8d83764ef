"""Each way of ports to misbehave, as amshan and dsmr-parser see it: what they cannot know, and what
they read once it is over.

The lists come from the port itself, polled like a meter's; `tests/unit/test_han_truths.py` holds
that the MicroPython VM sends the same octets.
"""

from __future__ import annotations

import itertools
import sys
from datetime import datetime
from pathlib import Path

import pytest
from helpers import amshan_frames, dsmr

from ams.han.cipher import Cipher
from openams.bench.options import Options
from openams.bench.orders import parse_order
from openams.bench.session import Session
from openams.grid.registry import load
from openams.han.cipher import Keys
from openams.han.errors import HanError
from openams.han.reader import FrameReader
from openams.meter_time import NORWAY, to_utc_ms

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))
from han_vm import HOUR, make, run

EVENING = to_utc_ms(datetime(2026, 1, 15, 21, 58, 30, tzinfo=NORWAY))
KAMSTRUP_SE = "6841131BN245101092"


def played(name, quirk, duration_ms, seed=1, start=EVENING, **more):
    """(port, messages): (ms since the start, octets)."""
    port, uart = make(name, quirk=quirk, seed=seed, **more)
    port.view.registers.mwh[:4] = [10**10, 10**9, 10**8, 10**7]
    port.open(start)
    run(port, uart, start, duration_ms, 500)
    return port, [(now - start, frame) for now, frame in uart.frames]


def read(messages):
    """amshan on the stream, whole."""
    return amshan_frames(b"".join(octets for _, octets in messages))


def messages_of(frames):
    return [(0, octets) for octets in frames]


def ours(messages):
    """The bench's reader on the stream."""
    return list(FrameReader().feed(b"".join(octets for _, octets in messages)))


@pytest.mark.parametrize("quirk", [
    "noise", "cut", "overrun", "silent", "stuck", "stray", "debug-text", "newlines", "short-buffer",
])  # fmt: skip
def test_a_quirk_follows_from_its_seed(quirk):
    name = "aidon"
    first, again, other = (played(name, quirk, 600_000, seed)[1] for seed in (3, 3, 4))
    assert first == again
    if quirk not in ("silent", "newlines", "short-buffer"):
        assert first != other


@pytest.mark.parametrize("seed", range(1, 9))
def test_stuck_until_the_supply_is_cut(seed):
    """Kamstrup's: nothing more, from one moment on; a cut of the supply sets it free."""
    port, uart = make("kamstrup", quirk="stuck", seed=seed)
    port.open(EVENING)
    run(port, uart, EVENING, 3600_000, 500)
    last = uart.frames[-1][0] - EVENING
    assert 50_000 <= last <= 600_000
    assert len(amshan_frames(b"".join(f for _, f in uart.frames))) == len(uart.frames)
    assert port.is_open and sum(port.sent) > len(uart.frames)
    port.supply_back(EVENING + 3600_000)
    run(port, uart, EVENING + 3600_000, 40_000, 500)
    assert uart.frames[-1][0] >= EVENING + 3600_000 + 20_000


@pytest.mark.parametrize("runtime", ["micropython", "cpython"])
def test_stuck_comes_loose_in_a_running_meter(runtime):
    """`--at 700=power-back` is the end of a cut: lists go again, for some minutes."""
    frames = []
    options = Options(
        runtime=runtime, quirk="stuck", seed=5, han_open=True, speed=None, duration_s=1400.0,
        at=[parse_order("699=power-fail"), parse_order("700=power-back")],
    )  # fmt: skip
    session = Session(load("house"), options, on_frame=frames.append)
    try:
        session.play(lambda: None)
        session.finish()
        begin = session.start_ms
    finally:
        session.close()
    seconds = [(frame.utc_ms - begin) // 1000 for frame in frames]
    before = [at for at in seconds if at < 700]
    after = [at for at in seconds if at >= 700]
    assert 60 <= max(before) <= 600 and min(after) <= 702 and max(after) < 1310


@pytest.mark.parametrize(("quirk", "field", "factor"), [
    ("energy-scale", "active_power_import_total", 10),
    ("voltage-scale", "voltage_l1", 100),
    ("power-scale", "active_power_import", 10),
])  # fmt: skip
@pytest.mark.parametrize("seed", [1, 2])
def test_a_scale_changes_overnight(quirk, field, factor, seed):
    """Between midnight and four, local time; nothing in the frame says so."""
    start = to_utc_ms(datetime(2026, 1, 15, 23, 58, tzinfo=NORWAY))
    _, plain = played("kamstrup", None, 9 * HOUR // 2, seed, start)
    _, scaled = played("kamstrup", quirk, 9 * HOUR // 2, seed, start)
    # Of some: amshan takes its time. The hourly lists are those that energies are in.
    some = (
        (lambda at: at % 3600_000 == 125_000) if "energy" in quirk else lambda at: at % 60_000 < 500
    )
    plain, scaled = ([(at, o) for at, o in messages if some(at)] for messages in (plain, scaled))
    pairs = [
        (now, a[field], b[field])
        for (now, _), a, b in zip(plain, read(plain), read(scaled), strict=True)
        if a.get(field)
    ]
    before = [now for now, a, b in pairs if b == a]
    after = [now for now, a, b in pairs if b != a]
    step = {"energy-scale": 10, "voltage-scale": 1, "power-scale": 1}[quirk]
    for _, a, b in pairs[-3:]:
        assert abs(b - factor * a) <= factor * step
    assert before and after and max(before) < min(after)
    assert 120_000 <= min(after) <= 120_000 + 4 * HOUR + 60_000


def test_newlines_of_an_adapter_that_writes_text():
    """0D 0A for 0A: lists with text, whose tag is 0A, come too long and are refused."""
    _, messages = played("aidon", "newlines", 60_000)
    # Of the short ones those without an 0A of their own.
    short = [octets for _, octets in messages if len(octets) < 60 and octets.count(b"\n") == 1]
    long = [octets for _, octets in messages if len(octets) > 60]
    assert short and long
    for octets in short + long:
        assert octets.endswith(b"\x7e\r\n")
        assert octets[:-2].count(b"\r\n") == octets[:-2].count(b"\n")
    # As in hass-AMS 112: 13 10 11 65 73 ... where 10 11 65 73 (0A 0B "AI") was sent.
    assert b"\xff\r\n\x0bAIDON_V0001" in long[0]
    assert len(read(messages_of(long))) == len(ours(messages_of(long))) == 0
    # The octets between frames alone stop amshan, as in amshan-homeassistant 48: it takes the flag
    # that opens a frame for the end of them. The short lists themselves are whole.
    assert len(read(messages_of(short))) == 1
    assert len(ours(messages_of(short))) == len(short)


def test_stray_octets_before_a_frame():
    _, messages = played("aidon", "stray", 600_000)
    strays = [octets for _, octets in messages if octets[0] != 0x7E]
    assert 0.1 * len(messages) < len(strays) < 0.4 * len(messages)
    # amshan takes the flag that ends a frame for the begin of the next, and what lies between
    # for that frame: it loses some. Whoever looks for a head that checks loses none.
    assert 0 < len(read(messages)) < len(messages)
    assert len(ours(messages)) >= 0.99 * len(messages)


def test_debug_text_between_frames():
    _, messages = played("aidon", "debug-text", 600_000)
    chatty = [octets for _, octets in messages if not octets.endswith(b"\x7e")]
    assert 0.3 * len(messages) < len(chatty) < 0.7 * len(messages)
    assert all(octets.endswith(b"\r\n") and b"] " in octets for octets in chatty)
    assert 0 < len(read(messages)) < len(messages)
    assert len(ours(messages)) == len(messages)


def test_short_buffer_cuts_long_frames():
    _, messages = played("kamstrup", "short-buffer", 600_000, meter_type=KAMSTRUP_SE)
    sizes = {len(octets) for _, octets in messages}
    assert sizes == {228, 256}
    decoded = read(messages)
    # The cut one takes those after it along.
    assert 0 < len(decoded) <= sum(len(octets) == 228 for _, octets in messages)
    assert len(ours(messages)) == sum(len(octets) == 228 for _, octets in messages)
    assert not any("active_power_import_total" in frame for frame in decoded)


def test_malformed_obis_runs_codes_together():
    """1-0:4:24.7.0 as of a Kamstrup in Denmark: the check no longer fits."""
    _, messages = played("p1", "malformed-obis", 1_200_000)
    broken = [octets for _, octets in messages if dsmr(octets) is None]
    assert 0.1 * len(messages) < len(broken) < 0.4 * len(messages)
    for octets in broken:
        assert b"\r\n1-0:" in octets and octets.count(b"!") == 1
        (line,) = [line for line in octets.split(b"\r\n") if line.count(b":") == 2]
        assert line.startswith(b"1-0:") and line[5:6] == b":"
    assert all(dsmr(octets) for _, octets in messages if octets not in broken)


@pytest.mark.parametrize("name", ["aidon", "kaifa", "kamstrup"])
def test_to_p1_changes_line_and_lists_at_a_moment(name):
    port, uart = make(name, quirk="to-p1", seed=2)
    port.open(EVENING)
    run(port, uart, EVENING, 1_200_000, 500)
    assert [line[0] for line in uart.lines] == [2400, 115200]
    kinds = [frame[:1] for _, frame in uart.frames]
    assert [key for key, _ in itertools.groupby(kinds)] == [b"\x7e", b"/"]
    change = kinds.index(b"/")
    assert 60_000 <= uart.frames[change][0] - EVENING <= 610_000
    assert len(amshan_frames(b"".join(f for _, f in uart.frames[:change]))) == change
    assert all(dsmr(frame) for _, frame in uart.frames[change:])
    assert port.missed == 0 and port.format.name == "p1"


def test_sweden_hybrid_shows_energies_times_ten():
    """HDLC at 2400 on a P1 port; what it counts is a tenth of what readers take it for."""
    port, messages = played("p1", "sweden-hybrid", 120_000)
    assert port.format.line == (2400, 8, None, 1)
    hourly = [frame for frame in read(messages) if "active_power_import_total" in frame]
    assert len(hourly) == 1
    true_wh = port.view.registers.hour_mwh[0] // 1000
    assert hourly[0]["active_power_import_total"] == 10 * true_wh
    assert "active_power_import" in hourly[0] and hourly[0]["voltage_l1"] < 300


def test_stale_hour_repeats_clock_and_energies_but_not_power():
    """As amsreader-firmware 1119 shows: 16, 17, 17 again, 19."""
    _, messages = played("aidon", "stale-hour", 7 * HOUR)
    messages = [(now, octets) for now, octets in messages if len(octets) > 300]
    hourly = [frame for frame in read(messages) if "active_power_import_total" in frame]
    clocks = [frame["meter_datetime"].hour for frame in hourly]
    assert any(a == b for a, b in itertools.pairwise(clocks))
    for a, b in itertools.pairwise(hourly):
        same_clock = a["meter_datetime"] == b["meter_datetime"]
        same_energy = a["active_power_import_total"] == b["active_power_import_total"]
        assert same_clock == same_energy
        now = [(f["active_power_import"], f["active_power_export"]) for f in (a, b)]
        assert not same_clock or now[0] != now[1]


def test_quirks_of_the_other_kind_of_port_are_refused():
    for quirk in ("sweden-hybrid", "malformed-obis"):
        with pytest.raises(ValueError, match="format p1"):
            make("aidon", quirk=quirk)
    for name in ("p1", "sml"):
        with pytest.raises(ValueError, match="DLMS"):
            make(name, quirk="to-p1")


@pytest.mark.parametrize(("name", "variant"), [
    ("sml", "easymeter"), ("landis", "at-burgenland"), ("sagemcom", "at"), ("iskraemeco", "at"),
])  # fmt: skip
@pytest.mark.parametrize(("quirk", "field"), [
    ("energy-scale", "a_plus_wh"), ("voltage-scale", "voltage_l1_v"), ("power-scale", "power"),
])  # fmt: skip
def test_a_scale_changes_in_lists_of_the_other_makers_too(name, variant, quirk, field):
    day = to_utc_ms(datetime(2026, 1, 15, 12, tzinfo=NORWAY))
    found = []
    for of_quirk in (None, quirk):
        port, uart = make(name, variant, quirk=of_quirk)
        port.view.registers.mwh[:2] = [10**10, 10**9]
        port.open(day)
        for start in (day, day + 17 * HOUR):
            run(port, uart, start, 30_000, 1000)
        found.append([reading.values for reading in ours(uart.frames)])
    plain, scaled = found
    assert len(plain) == len(scaled) > 4
    if field == "power":
        field = next(k for k in ("active_power_w", "active_power_import_w") if k in plain[0])
    assert plain[0] == scaled[0]
    moving = [(a[field], b[field]) for a, b in zip(plain, scaled, strict=True) if a.get(field)]
    now, then = moving[-1]
    assert abs(then - 10 * now) <= 10


@pytest.mark.parametrize("quirk", ["noise", "stray", "newlines", "debug-text", "short-buffer"])
@pytest.mark.parametrize(
    ("name", "variant"), [("sagemcom", "cz"), ("kaifa", "at"), ("landis", "at")]
)
def test_encrypted_lists_of_the_other_makers_misbehave_as_well(name, variant, quirk):
    keys = [(bytes(16), bytes(range(16)))]
    port, uart = make(name, variant, quirk=quirk, cipher=Cipher(b"OAM00000", keys, 1))
    port.open(EVENING)
    run(port, uart, EVENING, 30 * port.format.schedule[0][0], 1000)
    sent = sum(port.sent)
    assert sent >= 29 and port.missed == 0
    reader = FrameReader([Keys(*keys[0])])
    octets = b"".join(octets for _, octets in uart.frames)
    whole = refused = 0
    while True:
        try:
            # Who reads on finds the lists behind one that cannot be read.
            for _ in reader.feed(octets):
                whole += 1
            break
        except HanError:
            octets = b""
            refused += 1
    if (name, variant) == ("sagemcom", "cz"):
        assert whole == 0  # nothing around it, and nothing in it that tells what it is
        return
    assert (whole == sent) == (quirk in ("stray", "debug-text"))
    assert whole >= sent // 2 or quirk in ("newlines", "short-buffer")
