"""gurux-dlms and dlms-cosem update a meter whose power goes in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dlms_clients import Running, running_meter
from helpers import AMS, ams
from outside_update import CLIENTS, transfer
from updatebench import METER, SlotMeter

from openams.image import package
from openams.image.file import Image
from openams.keys.keystore import Keystore
from openams.keys.opening import open_keystore
from openams.lines.linkports import LinkPorts
from openams.lines.ptylink import PtyLink
from openams.meter_time import to_utc_ms


def image_for(store, version="0.1.1"):
    """An image of one module, released to the meter."""
    keys = store.get_or_new(METER)
    store.release_public(make=True)
    made = package.make("unix", only=["ams/registers/recorder"], version=version).signed(
        store.release_key()
    )
    expiry_s = to_utc_ms(datetime.now(UTC) + timedelta(days=1)) // 1000
    return made.released(
        bytes.fromhex(keys.system_title), expiry_s, bytes.fromhex(keys.update)
    ).octets()


class Here(Running):
    """A meter in this process, as clients see one that runs."""

    def __init__(self, store, ports):
        port = int(ports.urls[0].rsplit(":", 1)[1])
        super().__init__(None, ("127.0.0.1", port), str(ports.service.link))
        self.store = store

    def keys(self, role):
        shown = self.store.hand_out(METER).shown()
        return next(client for client in shown["clients"] if client["name"] == role)


@pytest.mark.parametrize("link", ["tcp", "hdlc"])
@pytest.mark.parametrize("name", CLIENTS)
def test_an_outside_client_updates_a_meter(tmp_path, name, link):
    store = Keystore(tmp_path / "keystore", b"p", scrypt_n=2)
    image = image_for(store)
    ports = LinkPorts(PtyLink(tmp_path / "service", "--service"), 0)
    meter = SlotMeter(store, ports, lambda: datetime.now(UTC))
    try:
        blocks, missing = transfer(Here(store, ports), name, link, image, meter.cut, part=5)
        assert meter.cuts == 1 and len(missing) == blocks - 5
        assert sorted(meter.blocks) == list(range(blocks)), "none came twice"
        meter.live_on(60)
        assert (meter.updater.switch.confirmed, meter.refusals()) == (1, [])
    finally:
        ports.close()


# --- `ams run` --------------------------------------------------------------------------------


@pytest.fixture
def power(tmp_path):
    """Starts `ams run` of a runtime with a state; its power goes with SIGKILL, and comes back."""
    with ExitStack() as stack:

        def up(runtime):
            # A folder of its own: the link of one that was killed may name another's terminal.
            ports = Path(tempfile.mkdtemp(dir=tmp_path))
            more = ("--state", tmp_path / "state")
            return stack.enter_context(running_meter(ports, *more, runtime=runtime))

        yield up


def cut(meter, up, runtime):
    """Power off and on; `meter` is then where it is found now."""
    meter.process.kill()
    meter.process.wait(timeout=30)
    fresh = up(runtime)
    meter.process, meter.tcp, meter.service = fresh.process, fresh.tcp, fresh.service


def until(meter, condition, wall_s=120):
    """The status of an update once it fulfils a condition."""
    end = time.monotonic() + wall_s
    while True:
        done = ams("image", "status", meter.urls[0], "--json", ok=False)
        if not done.returncode and condition(found := json.loads(done.stdout)):
            return found
        assert time.monotonic() < end, done.stdout + done.stderr
        time.sleep(0.2)


def stored_blocks(slots):
    """How many blocks slot 1 has, by its map (ams.update.slots)."""
    octets = slots.read_bytes()[512:4096] if slots.exists() else b""
    return sum(8 - octet.bit_count() for octet in octets)


def is_activated(version):
    return lambda found: found["state"] == "activated" and found["version"] == version


def test_gurux_updates_a_running_meter_through_a_power_cut(power, tmp_path):
    """Then `ams` sends the next one to the other slot."""
    meter = power("micropython")
    store = open_keystore(None, None)
    image = image_for(store)
    blocks, missing = transfer(
        meter, "gurux", "tcp", image, lambda: cut(meter, power, "micropython"), part=5
    )
    assert len(missing) == blocks - 5
    assert until(meter, is_activated("0.1.1"))["slot"] == 1
    path = tmp_path / "next.oai"
    made = package.make("unix", only=["ams/registers/recorder"], version="0.1.2").signed(
        store.release_key()
    )
    made.save(path)
    done = json.loads(ams("image", "send", meter.urls[1], path, "--activate", "--json").stdout)
    assert (done["state"], done["version"], done["slot"]) == ("activated", "0.1.2", 2)


def test_ams_goes_on_after_its_own_end_and_the_meters(power, tmp_path):
    """The tool is killed in the middle, then the meter; then dlms-cosem sends the next image."""
    meter = power("cpython")
    store = open_keystore(None, None)
    path = tmp_path / "next.oai"
    made = package.make(
        "unix", only=["ams/registers/recorder", "ams/meter", "ams/objects/push"], version="0.1.1"
    )
    made.signed(store.release_key()).save(path)
    command = [str(AMS), "image", "send", meter.urls[1], str(path), "--block-size", "64"]
    tool = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    slots = tmp_path / "state" / "slots.bin"
    while stored_blocks(slots) < 9:
        assert tool.poll() is None
        time.sleep(0.002)
    os.kill(tool.pid, signal.SIGKILL)
    tool.wait()
    blocks = -(-path.stat().st_size // 64)
    part = stored_blocks(slots)
    assert part < blocks, "it was too quick to be killed"
    cut(meter, power, "cpython")
    done = json.loads(ams("image", "send", meter.urls[1], path, "--activate", "--json").stdout)
    assert (done["state"], done["version"], done["slot"]) == ("activated", "0.1.1", 1)
    assert blocks - part - 1 <= done["blocks_sent"] <= blocks - part
    assert done["identifier"].startswith("0.1.1-")
    transfer(meter, "dlms-cosem", "tcp", image_for(store, "0.1.2"), lambda: None, part=0)
    assert until(meter, is_activated("0.1.2"))["slot"] == 2
    assert Image.load(path).is_signed
