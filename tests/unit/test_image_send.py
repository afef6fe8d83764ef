"""`ams image` from the sources to a meter that confirms: over TCP and a pseudo-terminal."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from updatebench import FLASHED, METER, ORIGINS, SlotMeter

import openams
from ams.objects.schedule import Schedule
from ams.storage import settings
from ams.update import image as form
from ams.update import reasons as firmware_reasons
from ams.update.image import is_name
from openams.cli import image as cli_image
from openams.cli import main as cli
from openams.client import update_reasons
from openams.errors import BenchError
from openams.image import package, transfer
from openams.image.file import Image, load_all
from openams.keys.keystore import Keystore
from openams.lines.linkports import LinkPorts
from openams.lines.ptylink import PtyLink
from openams.meter_time import to_utc_ms
from openams.places import repository_root
from openams.runtimes.rp2040.flash import ONE
from openams.runtimes.state import SLOTS_SIZE


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Where `ams` finds the bench's keystore, and the test opens the same."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPENAMS_KEYSTORE_PASSPHRASE", "p")
    monkeypatch.setattr(transfer, "_PAUSE_S", 0.05)
    monkeypatch.setattr(transfer, "_POLL_S", 0.01)
    return tmp_path / "home"


@pytest.fixture
def ams(monkeypatch, capsys):
    """`ams image` in this process: JSON, or with `ok=False` the line of its error."""

    def call(*arguments, ok=True):
        json_ = ("--json",) if ok else ()
        monkeypatch.setattr(sys, "argv", ["ams", "image", *map(str, arguments), *json_])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        assert (stop.value.code == 0) == ok, err
        if ok:
            return json.loads(out)
        assert err.startswith("ams: ") and err.count("\n") == 1
        return err

    return call


@pytest.fixture
def store(home):
    return Keystore(home / "openams" / "keystore", b"p", scrypt_n=2)


@pytest.fixture
def meter(store, tmp_path):
    ports = LinkPorts(PtyLink(tmp_path / "service", "--service"), 0)
    yield SlotMeter(store, ports, lambda: datetime.now(UTC))
    ports.close()


@pytest.fixture
def image(tmp_path, store):
    path = tmp_path / "meter.oai"
    made = package.make("unix", only=["ams/meter"], version="0.1.1")
    store.release_public(make=True)
    made.signed(store.release_key()).save(path)
    return path


@pytest.fixture(params=["tcp", "serial"])
def url(request, meter):
    return next(url for url in meter.ports.urls if url.startswith(request.param))


# --- files ---------------------------------------------------------------------------------


def test_every_reason_of_the_firmware_has_words():
    assert [update_reasons.REASONS[number][0] for number in sorted(update_reasons.REASONS)] == list(
        firmware_reasons.NAMES[1:]
    )
    assert "99" in update_reasons.text(99)


def test_the_bounds_are_the_firmwares():
    ours = (package.FILE_MAX, package.PACKED_MAX, package.ALL_MAX, package.FILES_MAX)
    assert ours == (form._FILE_MAX, form._PACKED_MAX, form._ALL_MAX, form._FILES_MAX)


@pytest.mark.parametrize(("board", "suffix"), [("unix", ".py"), ("pico", ".mpy")])
def test_a_package_has_the_modules_that_differ(tmp_path, board, suffix):
    root = repository_root()
    new = tmp_path / "new"
    for folder in ("firmware/ams", "boards"):
        subprocess.run(["mkdir", "-p", new / folder], check=True)
        subprocess.run(["cp", "-r", f"{root / folder}/.", new / folder], check=True)
    changed = new / "firmware" / "ams" / "storage" / "ring.py"
    changed.write_text(changed.read_text() + "\nFRESH = 1\n")
    made = package.make(board, source=new, against=root, version="0.2.0", security=3)
    said = made.contents()
    assert [file["name"] for file in said["files"]] == [
        f"ams/__init__{suffix}",
        f"ams/storage/ring{suffix}",
    ]
    assert (said["board"], said["version"], said["security"]) == (board, "0.2.0", 3)
    assert said["minimum"] == openams.__version__, "it stands in front of that base"
    assert package.make(board, source=new, against=root, version="0.2.0", security=3) == made
    assert Image.parse(made.octets()) == made


def test_a_slot_is_what_a_board_has(tmp_path):
    table = (repository_root() / "boards" / "esp32" / "partitions.csv").read_text()
    (row,) = [line for line in table.splitlines() if line.startswith("ams_slots")]
    assert int(row.split(",")[4], 16) // 2 - 4096 == package.SLOT_MAX["esp32"]
    assert package.SLOT_MAX["unix"] == SLOTS_SIZE // 2 - 4096
    assert ONE.slots_size // 2 - 4096 == package.SLOT_MAX["rp2"]


@pytest.mark.campaign
def test_a_whole_meter_fits_a_slot_of_an_esp32():
    image = package.make("esp32")
    assert len(image.contents()["files"]) > 230
    with pytest.raises(BenchError, match="a slot takes 124"):
        package.make("pico")


def test_every_module_has_a_name_that_the_firmware_takes():
    for board in package.BOARDS:
        names = package._modules(board, None)
        assert len(names) > 80 and "main" not in names
        assert all(is_name(f"{name}.mpy".encode()) for name in names)


def test_what_is_no_image_or_board_is_one_line(tmp_path, image):
    with pytest.raises(BenchError, match="there are unix, pico"):
        package.make("toaster")
    with pytest.raises(BenchError, match="no module"):
        package.make("unix", only=["ams/nothing"])
    with pytest.raises(BenchError, match="no version"):
        package.make("unix", only=["ams/storage/ring"], version="2")
    data = image.read_bytes()
    rng = random.Random(1)
    for size in [*rng.sample(range(len(data)), 40), 0, 119, 120]:
        (tmp_path / "cut").write_bytes(data[:size])
        with pytest.raises(BenchError, match="is no image"):
            Image.load(tmp_path / "cut")


def test_sign_and_release_are_in_the_file(ams, store, tmp_path):
    store.new(METER)
    path, out = tmp_path / "a.oai", tmp_path / "b.oai"
    key = ams("key")["public_key"]
    built = ams("build", "unix", path, "--only", "ams/storage/ring")
    assert not built["signed"] and built["released_to"] is None
    assert "not signed" in ams("release", path, METER, out, ok=False)
    assert ams("sign", path)["signed"]
    assert Image.load(path).is_signed_by(key)
    first = ams("release", path, METER, out)
    assert first["released_to"] == store.get(METER).system_title
    # Released once more it is the same octets, so that a transfer goes on.
    assert ams("release", path, METER, out) == first
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    other = ams("release", path, METER, out, "--expires", later)
    assert other["identifier"] != first["identifier"]
    assert "is over" in ams("release", path, METER, out, "--expires", "2020-01-01", ok=False)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert "another key" in ams("release", path, METER, out, ok=False)
    assert "no release key" in ams("key", "--trust", "zz", ok=False)
    assert "another release key" in ams("key", "--trust", _other_key(), ok=False)


def _other_key():
    from openams.keys import releasekey

    return releasekey.new()["public"]


# --- a meter ---------------------------------------------------------------------------------


def test_sent_verified_activated_confirmed(ams, meter, image, url):
    before = ams("status", url)
    assert (before["state"], before["slot"], before["blocks"]) == ("not-initiated", 0, 0)
    done = ams("send", url, image, "--activate")
    assert (done["state"], done["slot"], done["breaks"]) == ("activated", 1, 0)
    assert done["blocks_sent"] == len(set(meter.blocks)) == -(-image.stat().st_size // 256)
    after = ams("status", url)
    assert (after["state"], after["trial"], after["last_refusal"]) == ("activated", None, None)
    assert after["security_floor"] == 1


CODES = (FLASHED, bytes(range(255)) * 9)


@pytest.fixture
def whole(tmp_path, ams, store, monkeypatch):
    """A signed file for both halves, as of a firmware that was built."""
    folder = tmp_path / "built"
    folder.mkdir()
    for name, code in zip(("firmware.bin", "second.bin"), CODES, strict=True):
        (folder / name).write_bytes(code)
    said = {"version": "0.3.0", "security": 2, "state_format": 1, "origins": ORIGINS}
    (folder / "halves.json").write_text(json.dumps(said))
    monkeypatch.setattr(cli_image, "_firmware", lambda board: folder)
    path = tmp_path / "whole.oai"
    built = ams("build", "pico-ab", path)
    assert built["halves"] == [f"{origin:#x}" for origin in ORIGINS] and not built["signed"]
    store.release_public(make=True)
    store.release_key()
    assert ams("sign", path)["signed"]
    assert all(half.is_signed_by(store.release_public()) for half in load_all(path))
    return path


def test_a_whole_firmware_goes_into_the_half_that_is_free(ams, store, whole, tmp_path):
    ports = LinkPorts(PtyLink(tmp_path / "service", "--service"), 0)
    meter = SlotMeter(store, ports, lambda: datetime.now(UTC), halves=True)
    try:
        url = ports.urls[0]
        assert ams("status", url)["slot"] == 1
        meter.cut_after = 9
        done = ams("send", url, whole, "--activate")
        assert (done["state"], done["slot"], meter.cuts) == ("activated", 2, 1)
        assert (
            done["blocks_sent"] + 1 == len(set(meter.blocks)) == -(-(4096 + len(CODES[1])) // 256)
        )
        assert meter.read_code(2, len(CODES[1])) == CODES[1]
        after = ams("status", url)
        assert (after["trial"], after["security_floor"]) == (None, 2)
        # And back: what runs now is the second, so the first is sent.
        assert ams("send", url, whole, "--activate")["slot"] == 1
        # One alone is held against its place by the meter itself, before anything of it runs.
        Image.save(load_all(whole)[0], whole)
        assert "another half" in ams("send", url, whole, ok=False)
        assert ams("status", url)["slot"] == 1
    finally:
        ports.close()


def test_what_a_whole_firmware_is_asked_in_vain(ams, whole, monkeypatch, tmp_path):
    assert "only --minimum" in ams("build", "pico-ab", whole, "--only", "ams/meter", ok=False)
    monkeypatch.setattr(cli_image, "_firmware", lambda board: tmp_path)
    assert "make firmware BOARD=pico-ab" in ams("build", "pico-ab", whole, ok=False)
    both = whole.read_bytes()
    for damaged in (both[:-1], both + b"OAI1", both + both, both[len(both) // 2 :]):
        whole.write_bytes(damaged)
        assert "is no image" in ams("show", whole, ok=False)


def test_a_power_cut_in_the_middle_costs_no_block_twice(ams, meter, image):
    meter.cut_after = 7
    done = ams("send", meter.ports.urls[0], image)
    assert meter.cuts == 1 and done["breaks"] == 1 and done["state"] == "verified"
    blocks = -(-image.stat().st_size // 256)
    assert sorted(meter.blocks) == list(range(blocks))
    # The block that was stored before its answer was lost counts as there.
    assert done["blocks_sent"] == blocks - 1
    shown = ams("status", meter.ports.urls[0])
    assert (shown["blocks"], shown["transferred"]) == (blocks, blocks)
    assert shown["verified"][0]["identifier"] == done["identifier"]


def test_a_tool_that_died_goes_on_where_it_was(ams, meter, image):
    meter.cut_after = 5
    url = meter.ports.urls[0]
    ams("send", url, image, "--retries", "0", ok=False)
    part = ams("status", url)
    assert part["state"] == "initiated" and part["transferred"] == 5
    done = ams("send", url, image)
    assert done["blocks_sent"] == part["blocks"] - 5
    assert len(meter.blocks) == len(set(meter.blocks))
    assert "is over" in ams("activate", url, "--at", "2020-01-01", ok=False)
    assert ams("activate", url)["state"] == "activated"


def test_a_time_is_kept_by_the_meter(ams, meter, image):
    url = meter.ports.urls[0]
    when = (datetime.now(UTC) + timedelta(hours=3)).replace(second=0, microsecond=0)
    done = ams("send", url, image, "--at", when.isoformat())
    assert done["activates_at"] == when.isoformat() and done["state"] == "verified"
    shown = ams("status", url)
    assert len(shown["activation_times"]) == 1
    ln = bytes((0, 0, 15, 0, 2, 255))
    view = Schedule(ln, meter.meter.model, settings.SCHEDULE + 2)
    assert view.is_due(to_utc_ms(when)) and not view.is_due(to_utc_ms(when) + 60_000)
    ams("activate", url, "--cancel")
    assert ams("status", url)["activation_times"] == []
    late = (datetime.now(UTC) + timedelta(days=60)).isoformat()
    assert "expires" in ams("send", url, image, "--at", late, ok=False)


def test_a_refusal_is_told_in_words(ams, meter, image, store):
    url = meter.ports.urls[0]
    keys = store.get(METER)
    title = bytes.fromhex(keys.system_title)
    bad = Image.load(image).released(title, 2_000_000_000, bytes(16))
    bad.save(image)
    said = ams("send", url, image, ok=False)
    assert "bad-release" in said and "update key" in said
    shown = ams("status", url)
    assert shown["state"] == "verification-failed"
    assert shown["last_refusal"]["reason"] == "bad-release"
    assert meter.refusals() == [7]
    assert "ams image send" in ams("activate", url, ok=False)


def test_code_that_does_not_confirm_is_given_up(ams, meter, image):
    meter.ill = True
    said = ams("send", meter.ports.urls[0], image, "--activate", "--wait", "60", ok=False)
    assert "self-test" in said
    assert ams("status", meter.ports.urls[0])["slot"] == 0


def test_nobody_there_is_said_at_once(ams, image, store):
    store.new(METER)
    said = ams("send", "tcp://127.0.0.1:1", image, ok=False)
    assert "no meter at" in said
