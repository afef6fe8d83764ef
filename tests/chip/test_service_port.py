"""The service port of the firmware on the chip: octets at 9600 baud, both ways."""

from __future__ import annotations

import secrets

import pytest
from chipbench import ChipBench, steady

from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.lines.channels import DATA
from openams.lines.linkports import SERVICE_CHANNEL

# HDLC: SNRM of the public client (16) to the server (1); the head of the UA that answers it.
SNRM = bytes.fromhex("7ea0070321930f017e")
UA_HEAD = bytes.fromhex("7ea020210373")


def test_a_client_is_answered(image, tmp_path):
    bench = ChipBench(image, tmp_path, steady("1P2W", 230.0, 10.0, 0.0))
    keystore = Keystore(tmp_path / "keystore", secrets.token_bytes(32), SCRYPT_N_RANDOM)
    bench.config["security"] = provisioned(keystore, bench.config["identity"]["meter_id"])
    meter = bench.meter
    try:
        bench.boot()
        bench.run(0.3)
        meter.link(SERVICE_CHANNEL, DATA, SNRM)
        bench.run(0.4)
        assert UA_HEAD in bytes(bench.service)
        line = meter.machine.chip.uarts[1].line
        assert line.baudrate == pytest.approx(9600, rel=0.01) and line.parity is None
        # A long frame, octet behind octet: the sampling goes on meanwhile.
        meter.link(SERVICE_CHANNEL, DATA, bytes(400))
        bench.run(0.5)
        assert meter.view()["samples_missing"] == 0
    finally:
        meter.kill()
