"""What the boards' papers say is what their code does."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import struct
import subprocess
import sys

import pytest
import yaml

from tests.conftest import ROOT


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def constants(path):
    """Names and numbers of `_NAME = const(1)`, also several at a time."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.Assign):
            continue
        names, values = node.targets[0], node.value
        names = names.elts if isinstance(names, ast.Tuple) else [names]
        values = values.elts if isinstance(values, ast.Tuple) else [values]
        for name, value in zip(names, values, strict=False):
            if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "const":
                found[name.id] = ast.literal_eval(value.args[0])
    return found


BOARDS = [path.parent.name for path in sorted((ROOT / "boards").glob("*/pins.yaml"))]


@pytest.mark.parametrize(
    "board",
    [
        n
        for n in BOARDS
        if any((ROOT / "boards" / n / f).exists() for f in ("board.py", "pinout.py"))
    ],
)
def test_the_wiring_is_that_of_the_code(board):
    data = yaml.safe_load((ROOT / "boards" / board / "pins.yaml").read_text())
    pins = [pin for block in data["left"] + data["right"] for pin in block["pins"]]
    assert len({pin["pin"] for pin in pins}) == len(pins), "a pin is used twice"
    files = [ROOT / "boards" / board / name for name in ("pinout.py", "board.py")]
    numbers = constants(next(path for path in files if path.exists()))
    named = [pin for pin in pins if "const" in pin]
    assert named
    for pin in named:
        assert pin["pin"].lstrip("GPIO") == str(numbers[pin["const"]]), pin


def test_pictures_and_tables_are_up_to_date():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "board_picture.py"), "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"run tools/board_picture.py: {done.stdout}"


def test_partition_table():
    octets = tool("esp32_partitions").table((ROOT / "boards/esp32/partitions.csv").read_text())
    assert len(octets) == 0xC00
    entries = [struct.unpack_from("<HBBLL16sL", octets, 32 * k) for k in range(6)]
    assert {entry[0] for entry in entries} == {0x50AA}
    state = next(entry for entry in entries if entry[5].rstrip(b"\0") == b"ams_state")
    assert state[1:5] == (1, 0x40, 0x200000, 0xC0000)
    slots = next(entry for entry in entries if entry[5].rstrip(b"\0") == b"ams_slots")
    assert slots[1:5] == (1, 0x41, 0x2C0000, 0xA0000)
    assert octets[192:194] == b"\xeb\xeb"
    assert octets[208:224] == hashlib.md5(octets[:192]).digest()
    assert octets[224:] == b"\xff" * (0xC00 - 224)
    assert entries[-1][3] + entries[-1][4] <= 4 << 20


@pytest.mark.parametrize(
    ("csv", "text"),
    [
        ("a, data, nvs, 0x9000", "five fields"),
        ("a, code, nvs, 0x9000, 0x1000", "app or data"),
        ("a, data, nvs, 0x9100, 0x1000", "sectors"),
        ("a, data, nvs, 0x9000, 0x2000\nb, data, 0x40, 0xa000, 0x1000", "overlaps"),
    ],
)
def test_a_bad_partition_table_is_refused(csv, text):
    with pytest.raises(ValueError, match=text):
        tool("esp32_partitions").table(csv)
