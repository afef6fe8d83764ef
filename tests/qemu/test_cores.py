"""The firmware on other cores: the real MicroPython on machines of QEMU. See docs/boards/chips.md.

The Cortex-M33, that of the RP2350, is in every run; the Cortex-M7 and RISC-V are campaigns, and so
are the tests of tests/unit that run on the unix VM.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import qemuvm
import twins_vm

from openams.flashing import package
from openams.flashing.targets import ROOT

HERE = Path(__file__).parent
MACHINES = ["qemu-m33", *(pytest.param(name, marks=pytest.mark.campaign)
                          for name in ("qemu-m7", "qemu-rv32"))]  # fmt: skip

# The same by what is frozen, by files for this core, and by what the chip itself compiles.
THREE_WAYS = """
import gc, json, sys
told = {}
for way, path in (("frozen", ".frozen"), ("files", "/files"), ("compiled", "/sources")):
    for name in [name for name in sys.modules if name == "twins_vm" or name.startswith("ams")]:
        del sys.modules[name]
    gc.collect()
    sys.path[:] = [path, sys.argv[1]]
    import twins_vm
    from ams.metrology import kernel
    assert kernel.pair_sums is kernel.accumulate
    told[way] = twins_vm.result()
    if way == "frozen" and "Cortex" in sys.implementation._machine:
        # The loop in the chip's own instructions, which every Cortex-M has.
        import thumb

        told["thumb"] = []
        twins_vm.loop(twins_vm.Draw(1), told["thumb"].append, thumb.accumulate)
print(json.dumps([sys.implementation._machine, told]))
"""


def reached(found: dict[str, Path], roots: tuple[str, ...]) -> dict[str, Path]:
    """Of `found` what is loaded with the modules whose places begin so."""
    wanted = [place for place in found if place in roots or place.startswith(folders_of(roots))]
    kept: dict[str, Path] = {}
    while wanted:
        place = wanted.pop()
        if place in kept:
            continue
        kept[place] = found[place]
        folders = place.split("/")[:-1]
        parents = ("/".join([*folders[:depth], "__init__"]) for depth in range(1, len(folders) + 1))
        for name in (*parents, *imports_of(found[place])):
            wanted += [full for full in (name, name + "/__init__") if full in found]
    return {place: found[place] for place in sorted(kept)}


def folders_of(roots: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(root for root in roots if root.endswith("/"))


def imports_of(source: Path) -> list[str]:
    """What may be a place of what a module imports as it is loaded."""
    names: list[str] = []
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name.replace(".", "/") for name in names]


def firmware(names):
    """(place, source) of these modules of ams and all that they load."""
    found = package.modules(ROOT, "")
    return reached(found, tuple(names)).items()


VIPER = ("ams/metrology/kernel", "ams/metrology/channel_sums", "ams/metrology/window_end",
         "ams/metrology/fixed", "ams/crypto/gcm", "ams/crypto/octets", "ams/display/pixels",
         "ams/modbus/rtu")  # fmt: skip


def nested(files):
    tree = {}
    for place, data in files.items():
        *folders, name = place.split("/")
        at = tree
        for folder in folders:
            at = at.setdefault(folder, {})
        at[name] = data
    return tree


@pytest.mark.parametrize("name", MACHINES)
def test_native_code_does_what_its_plain_twin_does_to_the_last_bit(name):
    arch = qemuvm.MACHINES[name].arch
    files = {
        f"{place}.mpy": package.compiled(arch, f"{place}.py", source.read_bytes())
        for place, source in firmware(VIPER)
    }
    sources = {f"{place}.py": source.read_bytes() for place, source in firmware(VIPER)}
    out = qemuvm.run(
        name, THREE_WAYS, str(HERE), extra={"files": nested(files), "sources": nested(sources)}
    )
    machine, told = ast.literal_eval(out)
    assert machine.split(" with ")[1] in ("Cortex-M33", "Cortex-M7", "RV32IMC")
    thumb = told.pop("thumb", None)
    assert told == dict.fromkeys(("frozen", "files", "compiled"), twins_vm.result())
    if name == "qemu-rv32":
        assert thumb is None
    else:
        here = []
        twins_vm.loop(twins_vm.Draw(1), here.append)
        assert thumb == here


def test_every_viper_function_of_the_firmware_is_among_the_twins():
    found = {
        path.relative_to(ROOT / "firmware").with_suffix("").as_posix()
        for path in (ROOT / "firmware").rglob("*.py")
        if "@micropython.viper" in path.read_text() or "@micropython.native" in path.read_text()
    }
    assert found == set(VIPER)


# A slice of what runs on the unix VM; it is given to every machine as it is. What is not in it
# needs what a machine of QEMU has not (time, sockets, files that are written), or hours.
SLICE = (
    "test_kernel.py", "test_octets.py", "test_gcm.py", "test_han_gcm.py", "test_update.py",
    "test_fixed.py", "test_vectors.py", "test_modbus.py", "test_display.py",
)  # fmt: skip
ON_VM = "vm or micropython"


@pytest.mark.campaign
@pytest.mark.parametrize("name", list(qemuvm.MACHINES))
@pytest.mark.parametrize("file", SLICE)
def test_what_runs_on_the_unix_vm_runs_there(name, file):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", ON_VM,
         str(ROOT / "tests" / "unit" / file)],
        env={**os.environ, "OPENAMS_VM": name, "OPENAMS_CAMPAIGN": ""},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
