"""The HAN port of a running meter, opened by pyserial as any program would."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import serial
from helpers import AMS, ams, amshan_frames, dsmr


@contextmanager
def running(*arguments, link):
    process = subprocess.Popen(
        [str(AMS), "run", "--han", str(link), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 20
        while not os.path.exists(link):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)


def read_until(link, baud, enough, limit_s=60):
    """Octets of the line, as soon as they are enough; a busy machine's meter may be late."""
    with serial.Serial(str(link), baud, timeout=0.1) as port:
        end = time.monotonic() + limit_s
        octets = b""
        while not enough(octets) and time.monotonic() < end:
            octets += port.read(4096)
    return octets


TELEGRAM = re.compile(rb"/[^!]*![0-9A-F]{4}\r\n")
CASES = Path(__file__).resolve().parents[1] / "data" / "grid-cases" / "cases.json"


def running_case(name, link):
    """A known waveform of 10 s; list 2 is due after five."""
    return running(
        *["--scenario", f"{CASES}#TN PF0.5 lag 10 A", "--han-open", "--han-format", name],
        *["--start", "2026-01-15T12:00:55+01:00"],
        link=link,
    )


def full_lists(octets):
    return [frame for frame in amshan_frames(octets) if "voltage_l1" in frame]


@pytest.mark.parametrize("name", ["kaifa", "aidon", "kamstrup"])
def test_amshan_reads_the_measured_values(tmp_path, name):
    """A known waveform, sampled, measured, sent at 2400 baud and read: P, Q, U, I are right."""
    link = tmp_path / "han"
    with running_case(name, link):
        octets = read_until(link, 2400, full_lists)
    decoded = amshan_frames(octets)
    (full,) = full_lists(octets)
    assert full["active_power_import"] == 3450
    assert full["reactive_power_import"] == 5976
    assert full["voltage_l2"] == pytest.approx(230, abs=0.05)
    assert full["current_l3"] == pytest.approx(10, abs=0.005)
    assert full["meter_id"] == "7359990000000017"
    if name != "kamstrup":
        small = [frame for frame in decoded if "voltage_l1" not in frame]
        assert small and {frame["active_power_import"] for frame in small} == {3450}


def test_dsmr_parser_reads_the_telegram_of_a_running_meter(tmp_path):
    link = tmp_path / "p1"
    with running_case("p1", link):
        octets = read_until(link, 115200, TELEGRAM.search)
    read = dsmr(TELEGRAM.search(octets)[0])
    assert float(read["CURRENT_ELECTRICITY_USAGE"]) == 3.450
    assert float(read["INSTANTANEOUS_VOLTAGE_L3"]) == 230.0
    assert float(read["INSTANTANEOUS_REACTIVE_POWER_L2_POSITIVE"]) == 1.992


def test_at_full_speed_a_reader_sets_the_pace_and_loses_nothing(tmp_path):
    """An hour in seconds: every frame arrives whole, since somebody reads."""
    link = tmp_path / "han"
    process = subprocess.Popen(
        [
            str(AMS),
            "run",
            "--han",
            str(link),
            "--scenario",
            "house",
            "--speed",
            "max",
            "--duration",
            "3600",
            "--han-open",
            "--start",
            "2026-01-15T12:00:00+01:00",
            "--json",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not os.path.exists(link):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    octets = b""
    # The line hangs up when the meter stops.
    with suppress(OSError), serial.Serial(str(link), 2400, timeout=0.1) as port:
        while True:
            octets += port.read(port.in_waiting or 1)
    sent = json.loads(process.stdout.read())["han"]["frames_sent"]
    assert sent == 1800
    # Opening a port throws away what came before; from then on there is no gap.
    times = [frame["meter_datetime"] for frame in amshan_frames(octets)]
    assert len(times) > 1500
    assert {(b - a).total_seconds() for a, b in zip(times, times[1:], strict=False)} == {2.0}
    assert (times[-1].minute, times[-1].second) == (59, 58)


def test_a_closed_port_stays_silent(tmp_path):
    link = tmp_path / "han"
    with running("--scenario", "house", link=link):
        assert read_until(link, 2400, len, limit_s=5) == b""


def test_the_line_has_the_pace_of_its_baud_rate(tmp_path):
    """123 octets of list 2 at 2400 baud, 11 bits each, last 0.56 s."""
    link = tmp_path / "han"
    with (
        running(
            "--scenario", "house", "--han-open", "--start", "2026-01-15T12:00:57+01:00", link=link
        ),
        serial.Serial(str(link), 2400, timeout=0.01) as port,
    ):
        # The longest run of octets without a pause is list 2; one begins every ten seconds.
        octets, spent = 0, 0.0
        begin, count, last = 0.0, 0, 0.0
        end = time.monotonic() + 20
        while octets < 100 and time.monotonic() < end:
            got = port.read(200)
            now = time.monotonic()
            if got:
                begin = begin if count else now
                count += len(got)
                last = now
            elif now - last > 0.2:
                octets, spent = max((octets, spent), (count, last - begin))
                count = 0
    assert octets == 122
    assert 0.4 < spent < 1.5


def test_the_link_goes_with_the_meter_and_nothing_is_overwritten(tmp_path):
    link = tmp_path / "han"
    with running("--scenario", "house", "--han-open", link=link):
        second = ams("run", "--han", link, "--duration", "1", ok=False)
        assert second.returncode == 1 and "in use" in second.stderr
        assert os.path.exists(link)
    assert not os.path.lexists(link)
    link.write_text("somebody's file")
    third = ams("run", "--han", link, "--duration", "1", ok=False)
    assert third.returncode == 1 and link.read_text() == "somebody's file"


def test_a_dead_link_is_taken_over(tmp_path):
    link = tmp_path / "han"
    link.symlink_to("/dev/pts/does-not-exist")
    assert ams("run", "--han", link, "--duration", "1").returncode == 0
    assert not os.path.lexists(link)


def test_watch(tmp_path):
    link = tmp_path / "han"
    with running("--scenario", "house", "--han-open", link=link):
        done = ams("han", "watch", link, "--count", "2", "--timeout", "15")
        assert done.stdout.count("kaifa list") == 2
        json_done = ams("han", "watch", link, "--count", "1", "--timeout", "15", "--json")
        assert '"format": "kaifa"' in json_done.stdout


def test_watch_gives_up_in_words(tmp_path):
    link = tmp_path / "han"
    with running("--scenario", "house", link=link):
        done = ams("han", "watch", link, "--timeout", "1", ok=False)
        assert done.returncode == 1 and "no list for 1 s" in done.stderr
