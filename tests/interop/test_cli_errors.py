"""Bad input: one clear line, an exit code, nothing written."""

from __future__ import annotations

import json
import random

import pytest
from helpers import DAY, ams

# What `ams run` says of a state image in which nothing is odd.
SOUND = {"kept": True, "found": [], "unknown": [], "damaged": [], "failed": False}
BAD = [
    (["run", "--scenario", "nowhere.csv"], "no scenario"),
    (["run", "--runtime", "java"], "choose one of micropython, cpython"),
    (["run", "--system", "2P"], "choose one of 1P2W, 3P3W, 3P4W"),
    (["run", "--system", "3P4W", "--scenario", str(DAY)], "is 3P3W, not 3P4W"),
    (["run", "--han-format", "sagem"], "choose one of aidon"),
    (["run", "--han-variant", "dk"], "choose one of no"),
    (["run", "--quirk", "bored"], "choose one of cut"),
    (["run", "--quirk", "sweden-hybrid"], "format p1"),
    (["run", "--quirk", "rekey"], "--han-keys"),
    (["run", "--speed", "0"], "--speed"),
    (["run", "--speed", "fast"], "--speed"),
    (["run", "--speed", "max"], "needs --duration"),
    (["run", "--duration", "-3"], "--duration"),
    (["run", "--duration", "nan"], "--duration"),
    (["run", "--duration", "inf", "--speed", "max"], "--duration"),
    (["run", "--seed", "-1"], "--seed"),
    (["run", "--scenario", "/tmp"], "no scenario"),
    (["run", "--start", "yesterday"], "no ISO time"),
    (["run", "--front-end", "adc99", "--duration", "1"], "choose one of ideal, adc12"),
    (["run", "--meter-id", "12"], "16 digits"),
    (["run", "--han", "/nowhere/at/all/han", "--duration", "1"], "no folder"),
    (["run", "--service", "/nowhere/at/all/service", "--duration", "1"], "no folder"),
    (["run", "--dlms-port", "70000", "--duration", "1"], "0 to 65535"),
    (["run", "--dlms-port", "0", "--keystore", "/dev/null"], "OPENAMS_KEYSTORE_PASSPHRASE"),
    (["powercut", "--operation", "-1"], "from 0"),
    (["powercut", "--operations", "10", "--operation", "99"], "are 0 to"),
    (["fuzz", "--target", "radio"], "choose one of hdlc, wrapper, server"),
    (["fuzz", "--runtime", "java"], "choose cpython or micropython"),
    (["fuzz", "--count", "0"], "--count"),
    (["keys", "new", "12"], "16 digits"),
    (["keys", "show", "1234567890123456"], "ams keys new"),
    (["keys", "list", "--passphrase-file", "/nowhere"], "cannot read"),
    (["keys", "rotate", "7359990000000017", "--url", "here"], "is no URL of a meter"),
    (["read", "tcp://127.0.0.1:1", "1.8.0"], "is no OBIS code"),
    (["read", "tcp://127.0.0.1:1", "1.0.1.8.0.255@0"], "names no attribute"),
    (["read", "tcp://127.0.0.1:1", "--client", "public"], "no meter at 127.0.0.1:1"),
    (["read", "tcp://127.0.0.1:1", "--client", "king"], "choose one of public"),
    (["read", "meter"], "is no URL of a meter"),
    (["events", "tcp://127.0.0.1:1", "--log", "ship"], "choose one of standard"),
    (["clock", "tcp://127.0.0.1:1", "wind"], "choose one of show"),
    (["clock", "tcp://127.0.0.1:1", "set"], "write it like"),
    (["clock", "tcp://127.0.0.1:1", "show", "--timeout", "0"], "--timeout"),
    (["interval", "tcp://127.0.0.1:1", "30"], "choose 15 or 60"),
    (["profile", "tcp://127.0.0.1:1", "--name", "events"], "ams events"),
    (["profile", "tcp://127.0.0.1:1", "--entries", "0:5"], "write it like"),
    (["profile", "/nowhere", "--entries", "1:5"], "of a meter at a URL"),
    (["run", "--capture-period", "30"], "choose 15 or 60"),
    (["run", "--at", "5=explode"], "capture-period:15"),
    (["run", "--at", "noon"], "is no order"),
    (["run", "--format"], "--state"),
    (["profile", "/nowhere"], "no state image"),
    (["profile", "/nowhere", "--name", "weekly"], "choose one of load"),
    (["profile", "/nowhere", "--day", "soon"], "is no date"),
    (["powercut", "--torn", "half"], "choose one of clean"),
    (["powercut", "--state", "/nowhere"], "no state image"),
    (["profile", "/nowhere", "--csv", "--json"], "--csv and --json exclude each other"),
    (["profile", "/nowhere", "--bars", "--json"], "--json and --bars exclude each other"),
    (["profile", "/nowhere", "--plot", "x.png", "--json"], "--json and --plot exclude each other"),
    (["profile", "/nowhere", "--plot", "day.gif"], "ends in .png, .svg, .pdf"),
    (["profile", "/nowhere", "--plot", "/nowhere/day.png"], "no folder /nowhere"),
    (["profile", "/nowhere", "--plot", "x.png", "--name", "daily"], "leave --name out"),
    (["profile", "/nowhere", "--from", "2026-02-01", "--to", "2026-01-01"], "is after --to"),
    (["profile", "/nowhere", "--day", "2026-02-01", "--to", "2026-03-01"], "exclude each other"),
    (["events", "tcp://127.0.0.1:1", "--from", "2026-02-01", "--to", "2026-01-01"], "is after"),
    (["limit", "tcp://127.0.0.1:1", "set"], "changes nothing without an option"),
    (["limit", "tcp://127.0.0.1:1", "show", "--over", "5"], "show takes no settings"),
    (["limit", "tcp://127.0.0.1:1", "set", "--quota-period", "60"], "--quota-wh too"),
    (["breaker", "tcp://127.0.0.1:1", "state", "--order", "/nowhere"], "is spent by"),
    (["keys", "rotate", "7359990000000017", "here"], "is no URL of a meter"),
    (["order", "countersign", "here", "there"], "16 digits"),
    (["run", "--state", "/proc/nowhere", "--duration", "1"], "--state"),
    (["measure", "nowhere.json"], "cannot read"),
    (
        ["measure", str(DAY), "--runtime", "java"],
        "a recording, no waveform cases: play it with ams run --scenario",
    ),
    (["han", "decode", "nowhere.bin"], "cannot read"),
    (["han", "replay", "nowhere.jsonl"], "cannot read"),
    (["han", "watch", "/dev/nowhere"], "cannot read /dev/nowhere"),
    (["han", "watch", "/dev/null", "--parity", "mark"], "choose even, none or odd"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD, ids=lambda value: " ".join(value)[-40:])
def test_one_line_that_says_what_to_do(arguments, text):
    done = ams(*arguments, ok=False)
    assert done.returncode == 1, done.stderr
    assert text in done.stderr
    assert done.stderr.startswith("ams: ") and done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["run", "--frobnicate"], ["run", "--duration", "long"], ["fly"], ["measure"], ["han", "hum"]],
)
def test_the_parsers_own_errors_are_one_line_too(arguments):
    done = ams(*arguments, ok=False)
    assert done.returncode == 2
    assert done.stderr.startswith("ams: ") and done.stderr.count("\n") == 1


def test_without_words_there_is_help():
    done = ams(ok=False)
    assert "measure" in done.stdout and done.returncode == 2
    assert "--scenario" in ams("run", "--help").stdout
    assert ams("--version").stdout.startswith("openams ")


HEADER = "time,active_import_W,active_export_W\n"


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("empty.csv", "", "is empty"),
        ("header.csv", HEADER, "no rows"),
        ("columns.csv", "a,b\n1,2\n", ":1: no column time"),
        ("number.csv", HEADER + "2017-09-15 04:51:22,many,0\n", ":2: active_import_W"),
        ("missing.csv", HEADER + "2017-09-15 04:51:22,,0\n", ":2: active_import_W is missing"),
        ("time.csv", HEADER + "noon,5,0\n", ":2: no time"),
        ("order.csv", HEADER + "2017-09-15 04:51:22,5,0\n2017-09-15 04:51:20,5,0\n", ":3: time"),
        ("fields.csv", HEADER + "2017-09-15 04:51:22,5\n", ":2: 2 fields"),
        ("nan.csv", HEADER + "2017-09-15 04:51:22,nan,0\n", ":2: active_import_W"),
        ("house.txt", "Date;Time;Global_active_power\n", "UCI"),
        ("odd.cfg", "not a comtrade\n", "no odd.dat"),
    ],
)
def test_bad_scenario_files(tmp_path, name, content, text):
    path = tmp_path / name
    path.write_text(content)
    done = ams("run", "--scenario", path, "--speed", "max", "--json", ok=False)
    assert done.returncode == 1 and not done.stdout
    assert text in done.stderr and done.stderr.count("\n") == 1


def run_state(folder, *more, ok=True, scenario="house", duration="600"):
    return ams(
        "run",
        "--scenario",
        scenario,
        "--speed",
        "max",
        "--duration",
        duration,
        "--start",
        "2026-05-15T12:00:00",  # the roof exports
        "--state",
        folder,
        "--json",
        *more,
        ok=ok,
    )


@pytest.mark.parametrize(
    ("first", "second"), [("micropython", "cpython"), ("cpython", "micropython")]
)
def test_registers_survive_a_stop_and_another_runtime(tmp_path, first, second):
    one = json.loads(run_state(tmp_path, "--runtime", first).stdout)
    two = json.loads(run_state(tmp_path, "--runtime", second).stdout)
    fresh = json.loads(run_state(tmp_path / "other").stdout)
    names = [event["name"] for event in two["events"]]
    assert "state-restored" in names
    for number, name in enumerate(one["registers"]):
        assert two["registers"][name] >= one["registers"][name], (number, name)

    def total(summary):
        # Registers and what they carry, in micro-watt-seconds.
        return summary["registers"]["a_minus_mwh"] * 3_600_000 + summary["remainder_uws"][1]

    assert total(two) == total(one) + total(fresh)


def test_sampled_energy_survives_too(tmp_path):
    one = json.loads(run_state(tmp_path, scenario="fault", duration="60").stdout)
    two = json.loads(run_state(tmp_path, scenario="fault", duration="60").stdout)
    assert two["registers"]["a_plus_mwh"] == pytest.approx(
        2 * one["registers"]["a_plus_mwh"], abs=1
    )


def test_the_image_of_another_meter_is_kept_as_it_is(tmp_path):
    run_state(tmp_path)
    before = (tmp_path / "flash.bin").read_bytes()
    assert len(before) == 1 << 20
    done = run_state(tmp_path, "--meter-id", "7359990000000024")
    result = json.loads(done.stdout)
    assert "is that of meter 7359990000000017" in done.stderr
    assert "nothing is stored" in done.stderr
    assert not result["storage"]["kept"] and result["profile"] == []
    assert "storage-unknown" in [event["name"] for event in result["events"]]
    assert sum(result["registers"].values()) > 0, "it meters all the same"
    assert (tmp_path / "flash.bin").read_bytes() == before
    # Told to format, it takes the image over.
    done = run_state(tmp_path, "--meter-id", "7359990000000024", "--format")
    result = json.loads(done.stdout)
    assert result["storage"] == SOUND
    assert "storage-formatted" in [event["name"] for event in result["events"]]
    again = json.loads(run_state(tmp_path, "--meter-id", "7359990000000024").stdout)
    assert again["registers"]["a_minus_mwh"] > result["registers"]["a_minus_mwh"]


@pytest.mark.parametrize(
    ("runtime", "content", "text"),
    [
        ("micropython", bytes(1 << 20), "not blank"),
        ("cpython", b"\x5a" * (1 << 20), "not blank"),
        ("micropython", random.Random(1).randbytes(1 << 20), "not blank"),
        ("cpython", random.Random(2).randbytes(70_000), "in region 1, 2"),
        (
            "micropython",
            b"\xff" * ((1 << 20) - 8192) + b"OAMS\x09\x00" + b"\xff" * 8186,
            "version 9",
        ),
    ],
    ids=["zeros", "5a", "random", "short", "version"],
)
def test_unknown_images_are_said_and_kept(tmp_path, runtime, content, text):
    """As a user sees it; every kind on both VMs is in tests/unit/test_images.py."""
    (tmp_path / "flash.bin").write_bytes(content)
    done = run_state(tmp_path, "--runtime", runtime)
    result = json.loads(done.stdout)
    assert text in done.stderr and text in " ".join(result["storage"]["found"])
    assert "storage-unknown" in [event["name"] for event in result["events"]]
    assert (tmp_path / "flash.bin").read_bytes()[: len(content)] == content
    assert result["profile"] == []
    if len(content) == 70_000:
        done = ams("profile", tmp_path, "--json")
        assert json.loads(done.stdout) == [] and "70000 octets" in done.stderr


def test_a_short_image_keeps_what_is_valid(tmp_path):
    one = json.loads(run_state(tmp_path, duration="7200").stdout)
    path = tmp_path / "flash.bin"
    path.write_bytes(path.read_bytes()[: 100 * 4096])
    done = run_state(tmp_path, duration="60")
    two = json.loads(done.stdout)
    assert "state image has 409600 octets, not 1048576" in done.stderr
    assert ("nv-memory-error", 255) in [(one["name"], one["detail"]) for one in two["events"]]
    assert two["registers"]["a_minus_mwh"] >= one["registers"]["a_minus_mwh"] > 0
    rows = json.loads(ams("profile", tmp_path, "--json").stdout)
    assert {row["number"] for row in rows} >= {row["number"] for row in one["profile"]}


def test_a_blank_or_empty_image_is_a_new_meter(tmp_path):
    for content in (b"", b"\xff" * 4096, b"\xff" * (1 << 20)):
        (tmp_path / "flash.bin").write_bytes(content)
        storage = json.loads(run_state(tmp_path).stdout)["storage"]
        assert storage["kept"] and not storage["unknown"]
        assert len(storage["found"]) == (len(content) != 1 << 20)
        # What was too short has been made whole.
        assert json.loads(run_state(tmp_path).stdout)["storage"] == SOUND


def test_state_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    done = run_state(tmp_path / "file", ok=False)
    assert done.returncode == 1 and "is a file" in done.stderr


def test_keys_are_made_for_the_owner_alone_and_counters_never_return(tmp_path):
    keys = tmp_path / "keys.json"
    counters = []
    for _ in range(2):
        ams(
            "run",
            "--speed",
            "max",
            "--duration",
            "60",
            "--han-open",
            "--han-format",
            "kamstrup",
            "--han-keys",
            keys,
        )
        counters.append(json.loads(keys.read_text())["next_counter"])
    assert keys.stat().st_mode & 0o077 == 0
    assert counters[1] - counters[0] > 60
    keys.write_text("{}")
    done = ams("run", "--han-keys", keys, "--duration", "1", ok=False)
    assert done.returncode == 1 and "no key file" in done.stderr


def test_quirk_leaves_the_meter_right():
    plain, quirky = (
        json.loads(
            ams(
                "run",
                "--speed",
                "max",
                "--duration",
                "3600",
                "--han-open",
                "--json",
                "--start",
                "2026-05-15T12:00:00",  # the roof exports
                *more,
            ).stdout
        )
        for more in ([], ["--quirk", "noise"])
    )
    assert plain["registers"] == quirky["registers"]
