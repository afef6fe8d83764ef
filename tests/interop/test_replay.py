"""`ams han replay`: every captured frame again, octet by octet, on both runtimes."""

from __future__ import annotations

import json
import re

import pytest
from helpers import DATA, ams
from push_request import handle

from openams.runtimes.launch import RUNTIMES

FRAMES = DATA / "han" / "frames.jsonl"
MAKES = DATA / "han" / "makes.jsonl"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_all_captures_are_identical(runtime):
    result = json.loads(ams("han", "replay", FRAMES, "--runtime", runtime, "--json").stdout)
    assert result == {"frames": 138, "identical": 138, "different": []}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_all_lists_of_the_other_makers_are_identical(runtime):
    """With the keys that were published with the encrypted ones."""
    keys = MAKES.with_name("makes-keys.json")
    done = ams("han", "replay", MAKES, "--keys", keys, "--runtime", runtime, "--json")
    result = json.loads(done.stdout)
    assert result == {"frames": 129, "identical": 129, "different": []}


def hex_words(value):
    """Every text of a request that may be octets in hex."""
    if isinstance(value, dict):
        for part in value.values():
            yield from hex_words(part)
    elif isinstance(value, list):
        for part in value:
            yield from hex_words(part)
    elif isinstance(value, str):
        yield from re.findall(r"[0-9a-f]{16,}", value)


def test_what_crosses_over_of_the_other_makers_is_no_frame_either():
    """Of a list's octets the request holds what the meter is called, and its public key."""
    from openams.han.reader import decode_frame, load_frames, load_keys
    from openams.han.replay import request_of

    keys = load_keys(MAKES.with_name("makes-keys.json"))
    for _, frame, _ in load_frames(MAKES):
        reading = decode_frame(frame, keys)
        request = request_of(reading)
        names = {"texts", "client"} & set(request["options"])
        said = list(hex_words({name: request["options"].pop(name) for name in names}))
        assert all(len(word) <= 96 for word in said) and len(said) <= 4
        request.pop("cipher", None)
        request["identity"] = {}
        assert list(hex_words(request)) == []
        assert len(json.dumps(request)) < 2500


def test_a_change_of_one_value_changes_what_another_maker_sends():
    """Each octet of some values, changed: what is sent is that list, not the one before."""
    from openams.han.reader import decode_frame, load_frames
    from openams.han.replay import replay

    frames = {source: frame for _, frame, source in load_frames(MAKES)}
    frame = frames["esphome-libs/dlms_parser tests/dumps/raw_sagecom_xt211.log"]
    sent = []

    def push(request):
        sent.append(handle(request))
        return sent[-1]

    changed = []
    for code in ("0100010700ff", "0100150700ff", "0100010800ff", "0100010802ff", "0100020800ff"):
        # Behind the code: attribute, type, four octets.
        at = frame.index(bytes.fromhex(code)) + 6 + 2
        # A household's powers, any register.
        for k in range(at if code.endswith("0800ff") or "0802" in code else at + 2, at + 4):
            octets = bytearray(frame)
            octets[k] ^= 0x11
            changed.append((len(changed), bytes(octets), ""))
            decode_frame(bytes(octets))
    result = replay(changed, push)
    assert result["identical"] == len(changed) == len(set(sent)) == 16


def test_what_crosses_over_is_no_frame():
    """The request holds values, identity, time and the kind of meter: no octets to hand back."""
    from openams.han.reader import load_frames
    from openams.han.replay import replay

    requests = []

    def push(request):
        requests.append(request)
        return b""

    result = replay(load_frames(FRAMES), push)
    assert result["identical"] == 0 and len(result["different"]) == 138
    for request in requests:
        assert set(request) == {
            "format",
            "variant",
            "options",
            "system",
            "identity",
            "utc_ms",
            "utc_offset_min",
            "clock_status",
            "quantities",
            "registers",
            "list",
        }
        assert len(json.dumps(request)) < 900
        assert all(len(text) <= 18 for text in request["identity"].values())


def test_a_change_of_one_value_changes_what_is_sent(tmp_path):
    """A frame with another power is sent as that frame, not as any other."""
    from openams.han.frames import crc_x25

    original = json.loads(FRAMES.read_text().splitlines()[3])["frame"]
    body = bytearray.fromhex(original)[:-2]
    body[-1] ^= 0x15
    changed = bytes(body) + crc_x25(bytes(body)).to_bytes(2, "little")
    path = tmp_path / "frames.jsonl"
    path.write_text(json.dumps({"frame": changed.hex()}) + "\n")
    result = json.loads(ams("han", "replay", path, "--json").stdout)
    assert result["identical"] == 1


def test_broken_frames_are_named_with_their_reason(tmp_path):
    lines = FRAMES.read_text().splitlines()[:3]
    good = json.loads(lines[0])["frame"]
    path = tmp_path / "frames.jsonl"
    broken = [good[:-2] + "00", good[:40], "a0", "7e7e", ""]
    path.write_text("\n".join(json.dumps({"frame": frame}) for frame in [good, *broken]) + "\n")
    result = json.loads(ams("han", "replay", path, "--json").stdout)
    assert (result["frames"], result["identical"]) == (6, 1)
    assert all(entry["reason"] for entry in result["different"])


@pytest.mark.parametrize("content", ["", "{}", "no json", '{"frame": 5}', '{"frame": "xyz"}'])
def test_a_bad_file_is_one_line(tmp_path, content):
    path = tmp_path / "frames.jsonl"
    path.write_text(content)
    done = ams("han", "replay", path, "--json", ok=False)
    assert done.returncode == 1 and not done.stdout and done.stderr.count("\n") == 1


def test_decode_of_every_kind_of_file(tmp_path):
    frames = [json.loads(line)["frame"] for line in FRAMES.read_text().splitlines()]
    binary = b"".join(b"\x7e" + bytes.fromhex(frame) + b"\x7e" for frame in frames)
    for name, content in (
        ("binary", binary),
        ("shared-flags", b"\x7e" + b"\x7e".join(map(bytes.fromhex, frames)) + b"\x7e"),
        ("hex", "\n".join("7E" + frame.upper() + "7E" for frame in frames).encode()),
        (
            "spaced",
            "\n".join(" ".join(f[k : k + 2] for k in range(0, len(f), 2)) for f in frames).encode(),
        ),
        ("jsonl", FRAMES.read_bytes()),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        readings = json.loads(ams("han", "decode", path, "--json").stdout)["readings"]
        assert len(readings) == 138, name
        assert [reading["frame"] for reading in readings] == frames


def test_our_reader_agrees_with_amshan_on_every_capture():
    names = {
        "active_power_import": "active_power_import_w",
        "active_power_export": "active_power_export_w",
        "reactive_power_import": "reactive_power_import_var",
        "reactive_power_export": "reactive_power_export_var",
        "active_power_import_total": "a_plus_wh",
        "active_power_export_total": "a_minus_wh",
        "reactive_power_import_total": "r_plus_varh",
        "reactive_power_export_total": "r_minus_varh",
        **{f"voltage_l{k}": f"voltage_l{k}_v" for k in (1, 2, 3)},
        **{f"current_l{k}": f"current_l{k}_a" for k in (1, 2, 3)},
    }
    from openams.han.reader import decode_frame

    for line in FRAMES.read_text().splitlines():
        record = json.loads(line)
        reading = decode_frame(bytes.fromhex(record["frame"]))
        theirs = record["decoded_by_amshan"]
        for name, ours in names.items():
            if name in theirs:
                assert float(reading.values[ours]) == pytest.approx(theirs[name]), name
        assert reading.meter_id == theirs.get("meter_id")
