"""The published stubs of the ESP32's modules find what the shims would let pass."""

from __future__ import annotations

import importlib.util

from tests.conftest import ROOT

_SPEC = importlib.util.spec_from_file_location("check_esp32", ROOT / "tools" / "check_esp32.py")
check_esp32 = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(check_esp32)


def test_the_board_is_right_and_a_spoilt_one_is_not(tmp_path):
    spoilt = tmp_path / "spoilt.py"
    folder = ROOT / "boards" / "esp32"
    drivers = folder.parent / "drivers"
    files = (folder / "flash.py", folder / "board.py", drivers / "watchdog.py")
    source = "".join(file.read_text() for file in files)
    for right, wrong in (
        ("Partition.find(", "Partition.search("),
        ("machine.WDT(timeout=", "machine.WDT(time_out="),
        ("Pin(pinout.CONTACT, Pin.IN)", "Pin(pinout.CONTACT, Pin.INPUT)"),
        ("time.sleep_ms", "time.sleep_millis"),
    ):
        assert right in source
        source = source.replace(right, wrong)
    spoilt.write_text(source)
    complaints = check_esp32.check([*check_esp32.board_files(), spoilt])
    assert {line.split(":")[0] for line in complaints} == {str(spoilt)}
    text = "\n".join(complaints)
    for name in ("search", "WDT", "INPUT", "sleep_millis"):
        assert name in text
