"""Flashing a real MicroPython VM through a serial port: what holds when things go wrong."""

import os
import pty
import re
from dataclasses import replace
from pathlib import Path

import pytest
import serial
from vmboard import TARGET, VmBoard, boot

from openams.errors import BenchError
from openams.flashing import install as installing
from openams.flashing import package
from openams.flashing.install import install
from openams.flashing.link import BoardLink
from openams.flashing.package import joined
from openams.flashing.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
OLD = {"main.py": b"print('old code')\n", "part/__init__.py": b"", "part/more.py": b"A = 1\n"}
NEW = {
    "main.py": b"import part.more\nprint('new code', part.more.A)\n",
    "part/__init__.py": b"",
    "part/more.py": b"A = 2\n" + b"# filler\n" * 120,
}


def flash(folder, files, cut_after=None, target=TARGET):
    with VmBoard(folder, cut_after) as board:
        try:
            with BoardLink(board.port, timeout_s=4) as link:
                return install(link, target, files, root=str(folder)), board.sent
        except BenchError as error:
            return str(error), board.sent


def test_new_code_is_written_verified_and_boots(tmp_path):
    done, _ = flash(tmp_path, OLD)
    assert (done.slot, done.files) == ("a", 3)
    assert boot(tmp_path) == "old code\n"
    done, _ = flash(tmp_path, NEW)
    assert (done.slot, done.octets) == ("b", sum(map(len, NEW.values())))
    assert boot(tmp_path) == "new code 2\n"
    assert (tmp_path / "b/part/more.py").read_bytes() == NEW["part/more.py"]
    # And back to the first folder, whose old files are gone.
    flash(tmp_path, {"main.py": b"print('third')\n"})
    assert boot(tmp_path) == "third\n"
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["main.py"]


def test_modules_joined_in_one_file_boot_likewise(tmp_path):
    flash(tmp_path, OLD)
    done, _ = flash(tmp_path, {"code.pack": joined(NEW)})
    assert (done.slot, done.files) == ("b", 1)
    assert boot(tmp_path) == "new code 2\n"
    flash(tmp_path, OLD)
    assert boot(tmp_path) == "old code\n"
    # One that is none is no reason to end without a word.
    (tmp_path / "a/code.pack").write_bytes(b"OAP0")
    assert boot(tmp_path) == "old code\n"


def test_the_vm_imports_the_meter_from_one_file(tmp_path):
    files = package.build(TARGET)
    names = [
        place.removesuffix(".mpy").removesuffix("/__init__").replace("/", ".")
        for place in files
        if place.startswith("ams/")
    ]
    each = " gc.collect()\n __import__(n)\n"
    code = f"import gc, ams\nfor n in {names!r}:\n{each}print(len({names!r}), ams.__path__)\n"
    files = {"main.py" if place == "main.mpy" else place: data for place, data in files.items()}
    assert len(names) > 120
    done, _ = flash(tmp_path, {"code.pack": joined(files | {"main.py": code.encode()})})
    assert done.files == 1
    assert boot(tmp_path) == f"{len(names)} /code/ams\n"


def cut_points(total):
    """Everywhere in thirds of the end, where it switches, and in steps before."""
    return sorted({*range(60, total - 700, total // 12), *range(total - 700, total, 47)})


def test_cable_pulled_at_any_octet_leaves_code_that_boots(tmp_path):
    flash(tmp_path / mk(tmp_path, "whole"), OLD)
    _, total = flash(tmp_path / "whole", NEW)
    assert total > 2500
    outcomes = set()
    for cut in cut_points(total):
        folder = tmp_path / mk(tmp_path, str(cut))
        flash(folder, OLD)
        message, _ = flash(folder, NEW, cut)
        outcome = boot(folder)
        assert outcome in ("old code\n", "new code 2\n"), (cut, outcome)
        if not isinstance(message, str):
            assert outcome == "new code 2\n", cut
        else:
            assert "\n" not in message and ("pulled" in message or "answers" in message), message
        outcomes.add(outcome)
        # The next flash needs nobody to clean up.
        if cut % 5 == 0:
            flash(folder, NEW)
            assert boot(folder) == "new code 2\n", cut
    assert "old code\n" in outcomes


def as_before(files):
    """A package that is not deflated, as former versions wrote it."""
    head = "".join(f"{len(data)} {place}\n" for place, data in files.items()).encode()
    return b"OAP1" + len(head).to_bytes(4, "big") + head + b"".join(files.values())


def test_cable_pulled_while_the_launcher_changes_leaves_code_that_boots(tmp_path):
    """A former launcher reads former packages alone."""
    outcomes = set()
    _, total = flash(tmp_path / mk(tmp_path, "whole"), {"code.pack": joined(NEW)})
    for cut in range(total - 400, total + 1500, 230):
        folder = tmp_path / mk(tmp_path, str(cut))
        flash(folder, {"code.pack": as_before(OLD)})
        launcher = (folder / "main.py").read_text()
        former = launcher.replace('(b"OAP1", b"OAP2")', '(b"OAP1",)')
        assert former != launcher
        (folder / "main.py").write_text(former)
        assert boot(folder) == "old code\n"
        flash(folder, {"code.pack": joined(NEW)}, cut)
        outcomes.add(boot(folder))
        assert outcomes <= {"old code\n", "new code 2\n"}, cut
    assert len(outcomes) == 2


def mk(tmp_path, name):
    (tmp_path / name).mkdir()
    return name


def test_cable_pulled_at_first_flash_leaves_the_owners_program(tmp_path):
    (tmp_path / "main.py").write_text("print('mine')\n")
    _, total = flash(tmp_path, NEW, 10**9)
    assert boot(tmp_path) == "new code 2\n"
    folder = tmp_path / mk(tmp_path, "again")
    for cut in range(total - 900, total, 150):
        (folder / "main.py").write_text("print('mine')\n")
        message, _ = flash(folder, NEW, cut)
        assert boot(folder) in ("mine\n", "new code 2\n"), message


def test_a_file_that_reads_back_wrong_is_not_switched_to(tmp_path, monkeypatch):
    flash(tmp_path, OLD)
    write_all = installing._write_all

    def with_bad_block(link, folder, files, progress):
        write_all(link, folder, files, progress)
        link.run(f"_f=open('{folder}/part/more.py','r+b');_f.seek(9);_f.write(b'x');_f.close()")

    monkeypatch.setattr(installing, "_write_all", with_bad_block)
    message, _ = flash(tmp_path, NEW)
    assert "part/more.py reads back wrong: the old code is as it was" in message
    assert boot(tmp_path) == "old code\n"


def test_another_kind_of_board_is_refused_and_untouched(tmp_path):
    with (
        VmBoard(tmp_path) as board,
        BoardLink(board.port) as link,
        pytest.raises(BenchError, match="not a pico: nothing was written"),
    ):
        install(link, TARGETS["pico"], NEW, root=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_board_that_has_too_little_ram_is_told_before_anything_is_written(tmp_path):
    """Code in files is loaded into RAM. The VM has 2 MiB."""
    flash(tmp_path, OLD)
    before = sorted(tmp_path.rglob("*"))
    wanted = replace(TARGET, ram_kib=2048, roomier="take a roomier one")
    message, _ = flash(tmp_path, NEW, target=wanted)
    assert re.search(r"has 20\d\d KiB of RAM here, .* takes 2048 .*: take a roomier one;", message)
    assert sorted(tmp_path.rglob("*")) == before and boot(tmp_path) == "old code\n"
    done, _ = flash(tmp_path, NEW, target=replace(wanted, ram_kib=1024))
    assert done.files == 3


def test_package_that_does_not_fit(tmp_path, monkeypatch):
    flash(tmp_path, OLD)
    monkeypatch.setattr(
        installing.BoardLink, "value",
        lambda self, expression, *rest, value=BoardLink.value: (
            (4096, 4096, 64, 3) if "statvfs" in expression else value(self, expression, *rest)
        ),
    )  # fmt: skip
    message, _ = flash(tmp_path, NEW)
    assert "the image is too large" in message and "12 are free" in message
    assert boot(tmp_path) == "old code\n"


def test_no_port():
    with pytest.raises(BenchError, match="no port /dev/ttyNONE: is the board plugged in"):
        BoardLink("/dev/ttyNONE")


def test_port_in_use():
    near, far = pty.openpty()
    name = os.ttyname(far)
    with serial.Serial(name, exclusive=True), pytest.raises(BenchError, match="is in use by"):
        BoardLink(name)
    os.close(near)
    os.close(far)


def test_something_that_is_no_micropython():
    near, far = pty.openpty()
    with (
        pytest.raises(BenchError, match="no MicroPython answers"),
        BoardLink(os.ttyname(far), timeout_s=0.5),
    ):
        pass
    os.close(near)
    os.close(far)


def test_the_state_of_a_micropython_as_it_comes_is_in_files(tmp_path, micropython):
    """What a NOR flash does, with a file a sector; there are no slots."""
    out = micropython(
        f"""
import sys
sys.modules["rp2"] = None
sys.path[:0] = [{str(ROOT / "boards" / "pico")!r}, {str(ROOT / "boards")!r}]
import os
import flash
from ams.storage.snapshot import Snapshot
flash._FOLDER = {str(tmp_path / "state")!r}
state = flash.StateFlash()
print(flash.SlotsFlash(), state.size, state.blank(0, state.size))
state.program(4096 + 700, b"\\x0f\\xff")
state.program(4096 + 700, b"\\x3c\\x77\\x55")
seen = bytearray(10)
state.read(4096 + 697, seen)
print(seen)
state.program(8192, b"over")
across = bytearray(8)
state.read(8188, across)
print(across, state.blank(0, 4096), state.blank(4096, 4096), len(os.listdir(flash._FOLDER)))
state.erase(4096)
state.erase(4096)
print(state.blank(4096, 4096), state.blank(4096, 8192))
Snapshot(state).save({{"meter_id": "1"}})
print(Snapshot(flash.StateFlash()).load())
"""
    )
    assert out.splitlines() == [
        "None 393216 True",
        r"bytearray(b'\xff\xff\xff\x0cwU\xff\xff\xff\xff')",
        r"bytearray(b'\xff\xff\xff\xffover') True False 2",
        "True False",
        "{'meter_id': '1'}",
    ]
