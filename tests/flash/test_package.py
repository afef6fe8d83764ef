"""The package of .mpy files: all of it compiles, and the VM runs it."""

import json
import subprocess

import pytest
from vmboard import TARGET, VM

from openams.flashing import package
from openams.flashing.targets import TARGETS

# The file system of each board.
# A Pico 2 W has the files of a Pico 2, and less room.
FILES_KIB = {"pico2": 2560, "esp32": 640}


@pytest.mark.parametrize("name", FILES_KIB)
def test_everything_compiles_for_the_board(name, tmp_path):
    board = TARGETS[name]
    size = package.write(board, tmp_path / "mpy")
    listed = json.loads((tmp_path / "mpy" / "package.json").read_text())["urls"]
    assert ["ams/meter.mpy", "ams/meter.mpy"] in listed
    assert all((tmp_path / "mpy" / source).is_file() for _, source in listed)
    assert len(listed) == len(package.sources(board))
    assert size > 100 * 1024
    # What it takes where it is flashed.
    assert sum(map(len, package.flashed(board).values())) < 384 * 1024
    # Old and new side by side, in blocks of 4 KiB with what is not code, on the board's files.
    blocks = sum(-(-len(data) // 4096) for data in package.flashed(board).values())
    assert 2 * blocks < FILES_KIB[name] // 4 - 8


@pytest.mark.parametrize("name", sorted(set(TARGETS) - set(FILES_KIB)))
def test_where_there_is_no_room_there_is_no_package(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["package", name])
    monkeypatch.setattr(package, "write", lambda board, folder: 0)
    assert package.main() == (0 if TARGETS[name].files else 1)
    if not TARGETS[name].files:
        error = capsys.readouterr().err
        assert f"no room for the meter as files on a {name}" in error and error.count("\n") == 1


def test_the_vm_imports_every_module_of_the_meter(tmp_path):
    # The same files as for a chip, but for the code of viper functions.
    package.write(TARGET, tmp_path)
    names = sorted(
        path.relative_to(tmp_path).with_suffix("").as_posix().replace("/", ".")
        for path in (tmp_path / "ams").rglob("*.mpy")
    )
    names = [name.removesuffix(".__init__") for name in names]
    assert "ams.metrology.kernel" in names
    code = f"import gc\nfor n in {names!r}:\n gc.collect()\n __import__(n)\nprint('imported')\n"
    done = subprocess.run(
        [VM, "-X", "heapsize=1M", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "imported\n", done.stderr
    assert not list((tmp_path / "ams").rglob("*.py"))
