"""tools/firmware: what it makes, and the one line with which it gives up."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rp2040py.device.load_flash import decode_block

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "firmware"
sys.path.append(str(TOOL))

import corrections  # noqa: E402
import images  # noqa: E402
import shell  # noqa: E402
import uf2  # noqa: E402

from openams.runtimes.rp2040.flash import HALVES, ONE, Parts  # noqa: E402


def build(*arguments, **environment):
    env = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, str(TOOL / "build.py"), *arguments],
        capture_output=True, text=True, env=env, timeout=120,
    )  # fmt: skip


def one_line(done):
    assert done.returncode == 1, done.stdout
    # Behind what it has done until then.
    lines = [line for line in done.stderr.splitlines() if not line.startswith("firmware for ")]
    assert len(lines) == 1 and lines[0].startswith("firmware: "), done.stderr
    return lines[0]


def test_uf2_is_what_the_emulator_loads():
    data = os.urandom(1000)
    image = uf2.from_binary(data)
    assert len(image) == 4 * 512
    blocks = [decode_block(image[at : at + 512]) for at in range(0, len(image), 512)]
    assert [b.flash_address for b in blocks] == [0x10000000 + 256 * k for k in range(4)]
    assert b"".join(b.payload for b in blocks) == data + bytes(24)


OURS = [board for board in images.BOARDS.values() if not board.upstream and board.port == "rp2"]


@pytest.mark.parametrize("board", OURS, ids=lambda b: b.name)
def test_parts_of_the_flash_cover_it_without_overlap(board):
    flash = images.flashmap(board)
    assert all(size % 4096 == 0 for size in flash.values())
    if board.halves:
        assert flash["RECORDS_OFFSET"] == flash["STORAGE_OFFSET"] == 0x2000
        assert flash["SLOTS_OFFSET"] == flash["RECORDS_OFFSET"] + flash["RECORDS_SIZE"]
        assert flash["SLOTS_SIZE"] == 2 * flash["HALF_SIZE"]
        assert flash["FIRMWARE_SIZE"] + flash["CODE_OFFSET"] == flash["HALF_SIZE"]
        assert flash["STATE_OFFSET"] == flash["SLOTS_OFFSET"] + flash["SLOTS_SIZE"]
        assert flash["FLASH_SIZE"] == flash["STATE_OFFSET"] + flash["STATE_SIZE"]
        assert Parts(
            flash["STATE_OFFSET"], flash["STATE_SIZE"],
            flash["RECORDS_OFFSET"], flash["RECORDS_SIZE"] + flash["SLOTS_SIZE"],
        ) == HALVES  # fmt: skip
        return
    assert flash["STATE_OFFSET"] == flash["FIRMWARE_SIZE"] == flash["STORAGE_OFFSET"]
    assert flash["SLOTS_OFFSET"] == flash["STATE_OFFSET"] + flash["STATE_SIZE"]
    assert flash["FLASH_SIZE"] == flash["SLOTS_OFFSET"] + flash["SLOTS_SIZE"]
    if board.chip == "RP2040":
        state = flash["STATE_OFFSET"], flash["STATE_SIZE"]
        assert Parts(*state, flash["SLOTS_OFFSET"], flash["SLOTS_SIZE"]) == ONE


def test_the_percentage_is_what_make_said_last(tmp_path):
    log = tmp_path / "make.log"
    log.write_text(
        "[  3%] Building C object a\nnoise 99%\n[ 42%] Building C object b\nwarning: x\n"
    )
    assert shell._percent(log) == 42
    log.write_text("")
    assert shell._percent(log) is None
    told = []
    shell.run(
        ["sh", "-c", "echo '[ 17%] Building'; sleep 0.8"], tmp_path / "run.log", told=told.append
    )
    assert told == [17]


def test_unknown_board():
    boards = "pico, pico-w, pico2, pico2-w, pico-bench, pico-ab, pico-bench-ab, "
    assert f"there are {boards}" in one_line(build("pica"))


def test_no_toolchain(tmp_path):
    # Nothing on the path: neither compiler nor apt.
    line = one_line(build("pico", "--out", str(tmp_path / "out"), PATH=str(tmp_path),
                          XDG_CACHE_HOME=str(tmp_path / "cache")))  # fmt: skip
    assert "no arm-none-eabi-gcc: install" in line


COMPILER = {
    "arm-none-eabi-gcc": "arm-none-eabi-gcc (15:14.2.rel1-1) 14.2.1 20241119",
    "arm-none-eabi-ld": "GNU ld (2.44-3+23+b1) 2.44",
    "dpkg-query": "libnewlib-arm-none-eabi 4.5.0.20241231-1 install ok installed\n"
    "libstdc++-arm-none-eabi-newlib 15:14.2.rel1-1+29 install ok installed\n"
    "gcc-arm-none-eabi 15:12.2.rel1-1 deinstall ok config-files",
}


def machine(folder, **changes):
    """A search path with programs that say what these versions of them say."""
    folder.mkdir()
    for name, text in {**COMPILER, **changes}.items():
        if text is not None:
            program = folder / name
            program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
            program.chmod(0o755)
    return f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"


def test_the_compiler_of_a_release_is_known_by_what_the_programs_say(tmp_path, monkeypatch):
    import toolchain

    pinned = sources_pins()
    monkeypatch.setenv("PATH", machine(tmp_path / "same"))
    assert toolchain.others(pinned) == ""
    for number, (name, text, said) in enumerate((
        ("arm-none-eabi-gcc", "arm-none-eabi-gcc (15:13.2.rel1-2) 13.2.1",
         "gcc-arm-none-eabi is 15:13.2.rel1-2, not 15:14.2.rel1-1"),
        # Not Debian's: by the version of the program.
        ("arm-none-eabi-gcc", "arm-none-eabi-gcc (Arm GNU Toolchain 14.2.Rel1 (Build 5)) 14.2.1",
         "gcc-arm-none-eabi is 14.2.1, not"),
        ("arm-none-eabi-ld", "GNU ld (2.40-2+18+b1) 2.40", "binutils-arm-none-eabi is 2.40-2+18"),
        ("dpkg-query", "", "libnewlib-arm-none-eabi is unknown, not 4.5"),
    )):  # fmt: skip
        monkeypatch.setenv("PATH", machine(tmp_path / str(number), **{name: text}))
        assert said in toolchain.others(pinned) and "\n" not in toolchain.others(pinned)


def sources_pins():
    import sources

    return sources.pins()["toolchain"]


def test_another_compiler_builds_with_a_warning_and_not_where_it_must_be_the_pinned(
    tmp_path, monkeypatch
):
    import toolchain
    from problem import Problem

    changed = {"arm-none-eabi-gcc": "arm-none-eabi-gcc (15:13.2.rel1-2) 13.2.1"}
    monkeypatch.setenv("PATH", machine(tmp_path / "path", **changed))
    monkeypatch.setattr(toolchain, "missing", list)
    toolchain.ensure(tmp_path, sources_pins())
    monkeypatch.setenv("OPENAMS_PINNED_COMPILER", "1")
    with pytest.raises(Problem, match="gcc-arm-none-eabi is 15:13.2.rel1-2, not 15:14.2.rel1-1"):
        toolchain.ensure(tmp_path, sources_pins())


def test_an_image_is_built_anew_when_the_compiler_is_another(tmp_path, monkeypatch):
    # By its place: others are called build too.
    spec = importlib.util.spec_from_file_location("firmware_build", TOOL / "build.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setenv("PATH", machine(tmp_path / "first"))
    first = tool._digest(images.BOARDS["pico"], None)
    assert tool._digest(images.BOARDS["pico"], None) == first
    changed = {"arm-none-eabi-ld": "GNU ld (2.40-2+18+b1) 2.40"}
    monkeypatch.setenv("PATH", machine(tmp_path / "second", **changed))
    assert tool._digest(images.BOARDS["pico"], None) != first


def test_checkout_that_is_none(tmp_path):
    line = one_line(build("pico", "--micropython", str(tmp_path), "--out", str(tmp_path / "out")))
    assert "no MicroPython checkout" in line


def test_checkout_whose_submodules_are_not_there(tmp_path):
    """One after the other is named; at the last, that its frozen code would be wrong."""
    checkout = tmp_path / "micropython"
    (checkout / "ports" / "rp2").mkdir(parents=True)
    (checkout / "tools").mkdir()
    (checkout / "tools" / "mpy-tool.py").write_text('" __attribute__ ((aligned (2)))"\n')
    arguments = ("pico", "--micropython", str(checkout), "--out", str(tmp_path / "out"))
    for file in ("pico-sdk/pico_sdk_init.cmake", "tinyusb/src/tusb.h",
                 "mbedtls/include/mbedtls/version.h", "micropython-lib/README.md"):  # fmt: skip
        name = file.split("/")[0]
        assert f"no lib/{name}: run  make -C " in one_line(build(*arguments))
        path = checkout / "lib" / file
        path.parent.mkdir(parents=True)
        path.touch()
    assert "run  sed -i 's/aligned (2)/aligned (4)/'" in one_line(build(*arguments))


def test_what_cmake_says_is_one_line(tmp_path):
    import shell

    log = tmp_path / "log"
    log.write_text("-- fine\nCMake Error at rules.cmake:217 (message):\n  no library.\n  Run it\n")
    assert shell.telling_line(log) == "CMake Error at rules.cmake:217 (message): no library."


def test_file_that_is_not_the_pinned_one(tmp_path, monkeypatch):
    import sources
    from problem import Problem

    pinned = {
        "suite": "none",
        "sources": {"thing": {"version": "1", "file": "thing.tar", "sha256": "0" * 64}},
        "packages": {},
    }
    (tmp_path / "download").mkdir()
    (tmp_path / "download" / "thing.tar").write_bytes(b"another")
    monkeypatch.setattr(sources, "_apt_options", lambda *_: [])
    monkeypatch.setattr(sources, "run", lambda *_, **__: None)
    with pytest.raises(Problem, match=r"thing\.tar is not the one of pins\.json"):
        sources.fetch(tmp_path, pinned)


def test_programs_of_the_build_walk_through_sets_the_same_way_each_time(tmp_path):
    import shell

    for number in range(3):
        code = "print(list({str(k) for k in range(50)}))"
        shell.run([sys.executable, "-c", code], tmp_path / str(number))
    assert len({(tmp_path / str(number)).read_bytes() for number in range(3)}) == 1


def test_sources_that_are_not_as_they_are_known(tmp_path):
    """Each correction finds its place, or the build says so."""
    from problem import Problem

    texts = {}
    for correction in corrections.CORRECTIONS:
        texts[correction.file] = texts.get(correction.file, "") + correction.old
    for file, text in texts.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    with pytest.raises(Problem, match="sed -i 's/aligned"):
        corrections.check(tmp_path)
    corrections.apply(tmp_path)
    corrections.check(tmp_path)
    for correction in corrections.CORRECTIONS:
        assert correction.new in (tmp_path / correction.file).read_text()
    (tmp_path / "py" / "gc.c").write_text("of another version")
    with pytest.raises(Problem, match="not as it is known"):
        corrections.apply(tmp_path)


@pytest.mark.parametrize("board", OURS, ids=lambda b: b.name)
def test_no_two_modules_have_one_name_in_c(board):
    """What is frozen is named by its place with every slash an underscore."""
    folders = [("firmware", "ams"), ("firmware", "amsboot"), ("firmware", "amsbench")]
    places = []
    for base, folder in [*folders, ("boards", "drivers")]:
        for path in (ROOT / base / folder).rglob("*.py"):
            places.append(path.relative_to(ROOT / base).as_posix())
    places += [path.name for path in (ROOT / "boards" / board.code).glob("*.py")]
    names = [re.sub("[/.-]", "_", place.removesuffix(".py")) for place in places]
    assert sorted({name for name in names if names.count(name) > 1}) == []
