"""gurux-dlms and dlms-cosem update a meter whose power goes in the middle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from dlms_clients import Running
from outside_update import CLIENTS, transfer
from updatebench import METER, SlotMeter

from openams.image import package
from openams.keys.keystore import Keystore
from openams.linkports import LinkPorts
from openams.meter_time import to_utc_ms
from openams.ptylink import PtyLink


def image_for(store):
    """An image of a module that differs, released to the meter."""
    keys = store.get_or_new(METER)
    store.release_public(make=True)
    made = package.make("unix", only=["ams/keeper"], version="0.1.1").signed(store.release_key())
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
