"""What the objects cost and do on the MicroPython VM, beside what they do here."""

from __future__ import annotations

import json
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from cosem_objects import METER_ID, Bench, by_entry, by_range, octets, stamp

from ams.cosem import access
from ams.storage import layout
from openams.runtimes.launch import find_micropython

ROOT = Path(__file__).resolve().parents[2]
SECTOR = 4096
DAYS = 90


def test_ninety_days_cost_no_more_heap_than_a_piece(tmp_path):
    """The load profile of 90 days at 15 minutes: whole, by range, by entry, and one row."""
    sectors = 256
    bench = Bench(datetime(2026, 1, 1, tzinfo=UTC), sectors=sectors)
    begin_s = bench.raw_ms // 1000
    for k in range(1, DAYS * 96 + 1):
        entry = struct.pack("<IIHHIIII", k, begin_s + 900 * k, 0, 900, 250_000 + k, 0, 75_000, 0)
        bench.meter.nv_memory._append(layout.LOAD_PROFILE, entry)
    image = bytearray(b"\xff" * SECTOR * sectors)
    for number, data in bench.flash.own.items():
        image[number * SECTOR : (number + 1) * SECTOR] = data
    (tmp_path / "flash").write_bytes(image)
    first = stamp(2026, 1, 1, deviation=0)
    last = stamp(2026, 4, 1, deviation=0)
    moment = stamp(2026, 3, 1, 0, 15, deviation=0)
    job = {
        "image": str(tmp_path / "flash"),
        "size": len(image),
        "utc_ms": bench.raw_ms + DAYS * 86_400_000 + 1000,
        "range": by_range(first, last).hex(),
        "entry": by_entry(1, 0).hex(),
        "one": by_range(moment, moment).hex(),
        "config": {
            "system": "3P4W",
            "calibration": bench.calibration,
            "identity": {"meter_id": METER_ID},
            "han": {"format": "kaifa"},
        },
    }
    done = subprocess.run(
        # Room to compile what a chip has frozen; what the reading takes is measured within.
        [find_micropython(), "-X", "heapsize=1m", str(ROOT / "tools/bench/profile_vm.py")],
        env={"MICROPYPATH": f"{ROOT}/firmware:{ROOT}/boards/unix"},
        input=json.dumps(job), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    for name in ("all", "range", "entry"):
        # array, its count in two octets behind 82, and 39 octets a row
        assert result[name]["octets"] == 4 + DAYS * 96 * 39
        assert result[name]["heap"] < 16_384
    assert result["one"]["octets"] == 2 + 39
    assert result["attributes_read"] > 250


SETUP = """
import sys
sys.path.insert(0, sys.argv[1])
import json, gc, binascii
from openams.faultlab import flash_lab
from ams.cosem.axdr import Reader, Writer
from ams.cosem import access
from ams.results import AccessError
from amsbench.hold import hold
job = json.load(open(sys.argv[2]))
class Board(flash_lab.LabBoard):
    def entropy(self, count):
        return bytes(count)
flash = flash_lab.LabFlash(64)
raw = job["start"]
meter = None
out = Writer(640)
for what in job["steps"]:
    if what[0] == "power":
        meter = flash_lab.Meter(Board(flash), job["config"])
        meter.start(raw)
        continue
    if what[0] == "hold":
        flash_lab.set_power(meter, 1000)
        hold(meter, raw, what[1] * 1000, meter._board.clock)
        raw += what[1] * 1000
        meter.tick(raw)
        continue
    if what[0] == "event":
        meter.tamper(what[1])
        continue
    kind, class_id, ln, number, value = what
    ln = bytes([int(part) for part in ln.split(".")] + [255])
    data = Reader(binascii.unhexlify(value)) if value else None
    out.clear()
    code = 0
    whole = b""
    try:
        if kind == "set":
            meter.model.set(class_id, ln, number, access.OPERATOR, data)
        elif kind == "call":
            meter.model.call(class_id, ln, number, access.OPERATOR, data, out)
        else:
            pieces = meter.model.get(class_id, ln, number, access.OPERATOR, out)
            if pieces is not None:
                for _ in pieces:
                    whole += bytes(out.view())
                    out.clear()
    except AccessError as error:
        code = error.code
    print(code, binascii.hexlify(whole + bytes(out.view())).decode() or "-")
"""


def steps():
    from test_objects_setup import ANY_DATE, CALENDAR, PUSH, PUSH_TIMES, SETTINGS, times

    yield ("power",)
    for class_id, ln, attribute, value in SETTINGS:
        yield "set", class_id, ln, attribute, value.hex()
        yield "set", class_id, ln, attribute, (value + b"\x00").hex()
    yield "set", *PUSH_TIMES, 4, times((b"\xff\x0a\x00\x00", ANY_DATE)).hex()
    special = b"\x02\x03\x12\x00\x01" + octets(b"\xff\xff\x0c\x19\xff") + b"\x11\x02"
    yield "call", 11, "0.0.11.0.0", 1, special.hex()
    yield "call", 11, "0.0.11.0.0", 2, "120009"
    yield "call", *CALENDAR, 1, "0f00"
    yield "set", 8, "0.0.1.0.0", 2, octets(stamp(2026, 3, 29, 1, 55)).hex()
    for _ in range(4):
        yield "hold", 600
    yield "call", *PUSH, 1, "0f00"
    yield "event", 44
    yield "hold", 600
    yield ("power",)
    yield "hold", 60
    for class_id, ln, attribute, _ in SETTINGS:
        yield "get", class_id, ln, attribute, ""
    for class_id, ln, attribute in (
        (8, "0.0.1.0.0", 2), (1, "0.0.97.98.0", 2), (1, "0.0.96.14.0", 2), (7, "0.0.99.98.0", 2),
        (20, "0.0.13.0.0", 2), (11, "0.0.11.0.0", 2), (1, "0.0.96.11.0", 2),
    ):  # fmt: skip
        yield "get", class_id, ln, attribute, ""


def here(bench):
    """The same steps in this process."""
    out = []
    for what in steps():
        if what[0] == "power":
            bench.power_up()
        elif what[0] == "hold":
            bench.hold(what[1])
        elif what[0] == "event":
            bench.meter.tamper(what[1])
        elif what[0] == "get":
            out.append(f"0 {bench.raw(*what[1:4], who=access.OPERATOR).hex()}")
        else:
            act = bench.set if what[0] == "set" else bench.call
            out.append(f"{act(*what[1:4], bytes.fromhex(what[4]))} -")
    return out


def test_what_is_set_up_works_alike_on_the_vm(micropython, tmp_path):
    bench = Bench(datetime(2026, 1, 1, tzinfo=UTC))
    bench.flash = type(bench.flash)(64)
    config = {
        "system": "3P4W",
        "calibration": bench.calibration,
        "identity": {"meter_id": METER_ID, "meter_type": "OAM-3"},
        "han": {"format": "kaifa"},
    }
    job = {"config": config, "start": bench.raw_ms, "steps": list(steps())}
    (tmp_path / "job").write_text(json.dumps(job))
    lines = micropython(SETUP, str(ROOT / "host"), str(tmp_path / "job"), heap_kib=1024)
    mine = here(bench)
    assert lines.splitlines() == mine
    assert any(line.startswith("0 0101") for line in mine)
