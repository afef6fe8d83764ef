"""A meter under attack measures and sends as if there were none."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pytest
from dlms import GET_REGISTER, Raw
from dlmsmeter import CLOSED, OPENED, START_MS, MeterBench

from openams.runtimes.launch import RUNTIMES

RATE = 4000
BLOCK = 200
SECONDS = 25
_SNRM = bytes.fromhex("7EA00703032193B5827E")


def wave(start: int) -> Any:
    t = np.arange(start, start + BLOCK) / RATE
    u = np.sqrt(2) * 230.0 * np.cos(2 * np.pi * 50 * t) / 100e-6
    i = np.sqrt(2) * 7.0 * np.cos(2 * np.pi * 50 * t) / 40e-6
    return np.rint(np.stack([u, i], axis=1)).astype(np.int32)


def run(runtime: str, attack: Any) -> tuple[Any, list[bytes], MeterBench]:
    with MeterBench(runtime) as bench:
        bench.process.han(True)
        for k in range(SECONDS * RATE // BLOCK):
            attack(bench, k)
            after = (k + 1) * BLOCK
            bench.process.samples(START_MS + after * 1000 // RATE, k * BLOCK, wave(k * BLOCK))
        result = bench.process.finish()
        unharmed(bench)
        return result, [bytes(frame.data) for frame in bench.frames], bench


def unharmed(bench: MeterBench) -> None:
    """The operator opens on a connection of his own and reads."""
    bench.process.link(2, CLOSED, b"")
    bench.process.link(2, OPENED, b"")
    bench.open.add(2)
    while not bench.octets[2].empty():
        bench.octets[2].get()
    client = Raw(bench, counter=100_000, channel=2).associate()  # type: ignore[no-untyped-call]
    assert client.ask(GET_REGISTER)[:4] == b"\xc4\x01\xc1\x00"  # type: ignore[no-untyped-call]


def calm(bench: MeterBench, k: int) -> None:
    pass


class Storm:
    """Everything at once, by a seed: half-open connections, halves, lies, guesses, noise."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.guess = b""

    def __call__(self, bench: MeterBench, k: int) -> None:
        rng = self.rng
        if not self.guess:
            stranger = Raw(bench, keys=(bytes(16), bytes(16)))  # type: ignore[no-untyped-call]
            self.guess = stranger.aarq()
        channel = rng.randrange(1, 5)
        for _ in range(3):
            what = rng.randrange(8)
            process = bench.process
            if what == 0:
                process.link(channel, OPENED, b"")
            elif what == 1:
                process.link(channel, CLOSED, b"")
            elif what == 2:  # one octet of a head, and then nothing
                process.link(channel, 0, b"\x00")
            elif what == 3:  # a length that is a lie
                process.link(channel, 0, struct.pack(">4H", 1, 1, 1, 0xFFFF) + bytes(60))
            elif what == 4:
                process.link(channel, 0, struct.pack(">4H", 1, 1, 1, len(self.guess)) + self.guess)
            elif what == 5:
                process.link(channel, 0, rng.randbytes(rng.randrange(1, 400)))
            elif what == 6:
                process.link(0, 0, _SNRM + rng.randbytes(rng.randrange(1, 100)))
            else:
                apdu = bytes.fromhex("C0010000030100010800FF0200")
                process.link(channel, 0, struct.pack(">4H", 1, 16, 1, len(apdu)) + apdu)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_storm_changes_nothing(runtime: str) -> None:
    quiet, frames, _ = run(runtime, calm)
    stormy, frames_in_storm, bench = run(runtime, Storm(7))
    assert stormy["registers"] == quiet["registers"]
    assert quiet["registers"]["a_plus_mwh"] > 10_000
    assert frames_in_storm == frames and len(frames) > 10
    # One line for each thing of our own that failed: there is none.
    assert not [line for line in bench.logs if "failed" in line]
    names = {event[2] for event in stormy["events"]}
    assert "decryption-failed" in names and "authentication-failed" in names
