"""The objects that stand for what is measured: values as another decoder reads them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cosem_objects import METER_ID, Bench, by_entry, decode, name, parse_stamp, stamp

from ams.cosem import access
from ams.objects import catalogue
from ams.results import CLASS_INCONSISTENT, OBJECT_UNDEFINED, READ_WRITE_DENIED

OSLO = ZoneInfo("Europe/Oslo")


@pytest.fixture(scope="module")
def bench():
    bench = Bench(datetime(2026, 3, 3, 11, 30, tzinfo=OSLO))
    bench.hold(1800)
    bench.hold(3600, 2000)
    bench.hold(1500, 3000)
    return bench


def test_every_attribute_of_every_object_can_be_decoded_or_is_denied(bench):
    """And what the catalogue says of a class is what its class says."""
    seen = 0
    for class_id, version, ln, attributes, methods, rights in bench.model.rows():
        thing, _ = bench.model.find(class_id, ln)
        assert (thing.class_id, thing.version) == (class_id, version), ln
        assert (thing.attributes, thing.methods) == (attributes, methods), ln
        text = ".".join(map(str, ln))
        assert bench.get(class_id, text, 1, who=access.OPERATOR) == ln
        for attribute in range(2, attributes + 1):
            if not rights.may_read(attribute, access.OPERATOR):
                assert bench.code(class_id, text, attribute) == READ_WRITE_DENIED
                continue
            bench.get(class_id, text, attribute, who=access.OPERATOR)
            seen += 1
        assert bench.code(class_id, text, attributes + 1) == READ_WRITE_DENIED
        assert bench.code(class_id, text, 0) == READ_WRITE_DENIED
    assert seen > 250


def test_no_two_objects_have_one_name(bench):
    names = [row[2] for row in bench.model.rows()]
    assert len(names) == len(set(names)) == bench.model.count(access.KEYED)
    assert all(catalogue.class_of(class_id) for class_id, *_ in bench.model.rows())


def test_names(bench):
    assert bench.get(1, "0.0.42.0.0", who=access.PUBLIC) == b"OAM" + METER_ID[-13:].encode()
    assert bench.get(1, "0.0.96.1.0") == METER_ID.encode()
    assert bench.model.device_name() == b"OAM" + METER_ID[-13:].encode()


def test_registers_are_exact(bench):
    wanted = bench.meter.energy.mwh
    assert wanted[0] == 500_000 + 2_000_000 + 1_250_000
    for k in range(8):
        assert bench.get(3, f"1.0.{k + 1}.8.0") == wanted[k]
        assert bench.get(3, f"1.0.{k + 1}.8.0", 3) == [-3, 30 if k < 2 else 32]


def test_quantities(bench):
    values = {"1.7.0": 3_000_000, "2.7.0": 0, "3.7.0": 900_000, "21.7.0": 1_000_000,
              "32.7.0": 230_000, "52.7.0": 230_000, "31.7.0": 4348, "14.7.0": 50_000}  # fmt: skip
    units = {"1.7.0": 27, "2.7.0": 27, "3.7.0": 29, "21.7.0": 27, "32.7.0": 35, "52.7.0": 35,
             "31.7.0": 33, "14.7.0": 44}  # fmt: skip
    for ln, value in values.items():
        assert bench.get(3, "1.0." + ln) == value, ln
        assert bench.get(3, "1.0." + ln, 3) == [-3, units[ln]]


def test_demand(bench):
    """12:00 to 13:00 took 2 kW; the hour that runs has had 25 minutes of 3 kW."""
    assert bench.get(4, "1.0.1.6.0") == 2_000_000
    assert parse_stamp(bench.get(4, "1.0.1.6.0", 5)) == (datetime(2026, 3, 3, 13), -60)
    assert bench.get(5, "1.0.1.4.0", 2) == 3_000_000
    assert bench.get(5, "1.0.1.4.0", 3) == 2_000_000
    assert parse_stamp(bench.get(5, "1.0.1.4.0", 6))[0] == datetime(2026, 3, 3, 13)
    assert parse_stamp(bench.get(5, "1.0.1.4.0", 7))[0] == datetime(2026, 3, 3, 13)
    assert bench.get(5, "1.0.2.4.0", 2) == 0
    # Nothing of an hour that was not whole.
    assert bench.get(4, "1.0.2.6.0", 5) == b"\xff" * 12


def test_what_is_not_there():
    bench = Bench(system="1P2W")
    assert bench.code(3, "1.0.32.7.0") == 0
    assert bench.code(3, "1.0.52.7.0") == OBJECT_UNDEFINED
    assert bench.code(3, "1.0.99.99.99") == OBJECT_UNDEFINED
    assert bench.code(3, "1.0.1.8.0.1") == OBJECT_UNDEFINED
    assert bench.code(1, "1.0.1.8.0") == CLASS_INCONSISTENT
    assert bench.code(3, "1.0.1.8.0", selection=by_entry(1, 1)) != 0
    assert name("1.0.52.7.0") not in [row[2] for row in bench.model.rows()]


def test_who_may_what(bench):
    assert bench.code(3, "1.0.1.8.0", who=access.PUBLIC) == READ_WRITE_DENIED
    assert bench.code(8, "0.0.1.0.0", who=access.PUBLIC) == 0
    period = b"\x06\x00\x00\x03\x84"
    for who in (access.PUBLIC, access.READER, access.BREAKER, access.UPDATE):
        assert bench.set(7, "1.0.99.1.0", 4, period, who) == READ_WRITE_DENIED
        assert bench.set(8, "0.0.1.0.0", 2, b"\x09\x0c" + stamp(2026, 1, 1), who) != 0
        assert bench.call(8, "0.0.1.0.0", 3, who=who) == READ_WRITE_DENIED
    assert bench.set(3, "1.0.1.8.0", 2, b"\x06\0\0\0\0") == READ_WRITE_DENIED
    assert bench.call(3, "1.0.1.8.0", 1) == READ_WRITE_DENIED


ON_VM = """
import sys
sys.path.insert(0, sys.argv[1])
import json, gc, binascii
from openams.faultlab import flash_lab
from ams.cosem.axdr import Writer
from ams.cosem import access
from amsbench.hold import hold
config = json.load(open(sys.argv[2]))
meter = flash_lab.make_meter(flash_lab.LabFlash(64), config)
raw = 828187200000
meter.start(raw)
for power in (1000, 2000, 3000):
    flash_lab.set_power(meter, power)
    hold(meter, raw, 3600000, meter._board.clock)
    raw += 3600000
    meter.tick(raw)
out = Writer(640)
for class_id, version, ln, attributes, methods, rights in meter.model.rows():
    for attribute in range(1, attributes + 1):
        if not rights.may_read(attribute, access.OPERATOR):
            continue
        whole = b""
        out.clear()
        pieces = meter.model.get(class_id, ln, attribute, access.OPERATOR, out)
        if pieces is not None:
            for _ in pieces:
                whole += bytes(out.view())
                out.clear()
        whole += bytes(out.view())
        print(class_id, binascii.hexlify(ln).decode(), attribute, binascii.hexlify(whole).decode())
    gc.collect()
"""


def test_the_same_octets_on_the_vm(micropython, tmp_path):
    bench = Bench()
    config = {
        "system": "3P4W",
        "calibration": bench.calibration,
        "identity": {"meter_id": METER_ID, "meter_type": "OAM-3"},
        "han": {"format": "kaifa"},
    }
    for power_w in (1000, 2000, 3000):
        bench.hold(3600, power_w)
    host = str(Path(__file__).resolve().parents[2] / "host")
    (tmp_path / "config").write_text(json.dumps(config))
    lines = micropython(ON_VM, host, str(tmp_path / "config"), heap_kib=1024).splitlines()
    assert len(lines) > 350
    for line in lines:
        class_id, ln, attribute, octets = (line + " ").split(" ")[:4]
        text = ".".join(map(str, bytes.fromhex(ln)))
        mine = bench.raw(int(class_id), text, int(attribute), who=access.OPERATOR)
        assert mine.hex() == octets, line
        decode(mine)
