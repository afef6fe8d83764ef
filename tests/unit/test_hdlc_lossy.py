"""The HDLC link over bad lines, in any slices, on both VMs, without using up the heap."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openams.faultlab import link_lab
from openams.faultlab.hdlc_peer import address
from openams.faultlab.link_lab import LossyBench, converse

SEED = int(os.environ.get("OPENAMS_SEED", "1"))
FAULT = st.one_of(st.just(0), st.just(0), st.integers(0, 255))
INFO = st.integers(16, 512)
WINDOW = st.integers(1, 7)


@settings(deadline=None, max_examples=150)
@given(
    to_meter=st.lists(FAULT, max_size=60),
    to_client=st.lists(FAULT, max_size=60),
    cut=st.integers(0, 20),
    sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=4),
    agreement=st.tuples(INFO, INFO, WINDOW, WINDOW),
    repeat_all=st.booleans(),
    server=st.sampled_from([address(1), address(1, 16), address(1, 16, 4)]),
)
def test_every_apdu_arrives_whole_in_order_and_once(
    to_meter, to_client, cut, sizes, agreement, repeat_all, server
):
    bench = LossyBench(to_meter, to_client, cut, server)
    converse(bench, sizes, agreement, repeat_all)


def test_the_line_is_bad_enough():
    assert link_lab.play(SEED, 20) > 100


@settings(deadline=None, max_examples=200)
@given(
    junk=st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"\x7e", b"\x7e\xa0\x07"])))
)
def test_after_any_noise_the_link_answers(junk):
    """Noise may cost the first frame after it, never the second."""
    bench = LossyBench()
    for data in junk:
        bench.link.feed(data, 0)
    converse(bench, [100], (128, 128, 1, 1))
    assert bench.primary.repeats == 0, "the pause before the client's frame ended all noise"


VM = """
import sys
sys.path.append(sys.argv[1])
import link_lab
print(link_lab.play(int(sys.argv[2]), int(sys.argv[3])))
"""
LAB = str(Path(link_lab.__file__).parent)


def test_the_same_on_micropython(micropython):
    assert int(micropython(VM, LAB, str(SEED), "40", heap_kib=1024)) > 200


@pytest.mark.campaign
def test_many_conversations(micropython):
    link_lab.play(SEED, 3000)
    micropython(VM, LAB, str(SEED + 1), "3000", heap_kib=1024, timeout_s=3600)


HEAP = """
import gc, sys
sys.path.append(sys.argv[1])
from ams.cosem.hdlc import HdlcLink
from hdlc_peer import address, frame, parameters

class Upper:
    def __init__(self):
        self.answer = memoryview(bytearray(1000))
        self.count = 0
    def connected(self, channel, client_sap, server_sap):
        return True
    def disconnected(self, channel):
        pass
    def request(self, channel, client_sap, server_sap, apdu, now_ms):
        self.count += 1
        return self.answer
    def outgoing(self, channel):
        return None

upper = Upper()
octets_out = [0]
def write(view):
    octets_out[0] += len(view)
link = HdlcLink(upper, write)
client, server = address(16), address(1)
link.feed(frame(server, client, 0x93, parameters(128, 128)), 0)
# Requests of three segments, answers of eight: once round all sequence numbers.
script = []
send = expect = 0
for _ in range(8):
    for k in range(3):
        info = (b"\\xe6\\xe6\\x00" if k == 0 else b"") + bytes(100)
        script.append(frame(server, client, expect << 5 | 0x10 | send << 1, info, k < 2))
        send = (send + 1) & 7
    for k in range(7):
        expect = (expect + 1) & 7
        script.append(frame(server, client, expect << 5 | 0x11))
    expect = (expect + 1) & 7
octets = b"".join(script)
view = memoryview(octets)

def rounds(count, step):
    for _ in range(count):
        at = 0
        while at < len(octets):
            end = min(at + step, len(octets))
            link.feed(octets, 1, at, end)
            at = end
        link.tick(1)

rounds(2, 50)
gc.collect()
before = gc.mem_alloc()
gc.disable()
done = upper.count
rounds(10, 7)
used = gc.mem_alloc() - before
apdus = upper.count - done
gc.enable()
rounds(100, 64)
gc.collect()
print(apdus, used // apdus, gc.mem_alloc() - before, link.bad_frames, octets_out[0])
"""


def test_heap_is_constant_on_micropython(micropython):
    apdus, octets_each, grown, bad, _ = map(int, micropython(HEAP, LAB).split())
    assert apdus == 80 and bad == 0
    # The collector may take a stale word of the stack for a pointer: some blocks, not more.
    assert grown <= 512
    # A view of the APDU and of the last frame's size; nothing per octet or per segment.
    assert octets_each <= 400, octets_each
