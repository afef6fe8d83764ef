"""Runs on the chip: a whole meter, and a network of TCP peers that is made up here.

GIVEN: what strangers say first, in turn, one of them every so many milliseconds; the keys, the
title and the openings of clients who come one after the other, and what lies before each of
their words. What is seen is printed as JSON.
"""

import gc
import json
import struct
import time

import loop
from board import Board

from ams.crypto.gcm import Gcm
from drivers.links import Links

HOSTILE, EVERY_MS, LATENCY_MS, AARQS, KEYS, TITLE = globals()["GIVEN"]
GET = b"\xc0\x01\xc1\x00\x03\x01\x00\x01\x08\x00\xff\x02\x00"
PATIENCE_MS = 5000


class Peer:
    def __init__(self, sent=b""):
        self.sent = sent
        self.got = b""
        self.closed = False
        self.gone = False

    def readinto(self, buffer):
        if not self.sent:
            return 0 if self.gone else None
        piece, self.sent = self.sent[: len(buffer)], self.sent[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def write(self, data):
        self.got += bytes(data)

    def close(self):
        self.closed = True
        self.sent = self.got = b""


class Net:
    """A stranger every so often, and the victim when he wants to come."""

    def __init__(self):
        self.count = 0
        self.due = time.ticks_ms()
        self.waiting = None

    def accept(self):
        if self.waiting is not None:
            peer, self.waiting = self.waiting, None
            return peer
        if EVERY_MS and time.ticks_diff(time.ticks_ms(), self.due) >= 0:
            self.due = time.ticks_add(self.due, EVERY_MS)
            self.count += 1
            return Peer(HOSTILE[self.count % len(HOSTILE)])
        return None


def wrapped(apdu):
    return struct.pack(">4H", 1, 2, 1, len(apdu)) + apdu


class Victim:
    """A reader: a step of the dialogue a latency after the last."""

    def __init__(self, aarq, counter):
        self.gcm = Gcm(KEYS[0])
        self.counter = counter
        self.peer = net.waiting = Peer()
        self.words = [wrapped(aarq)]
        self.step = 0
        self.since = time.ticks_ms()
        self.done = None

    def poll(self):
        waited = time.ticks_diff(time.ticks_ms(), self.since)
        peer = self.peer
        if peer.closed or waited > PATIENCE_MS:
            self.done = False
        elif self.words:
            if waited >= LATENCY_MS:
                peer.sent += self.words.pop()
                self.since = time.ticks_ms()
        elif peer.got:
            answer, peer.got = peer.got[8:], b""
            self.since = time.ticks_ms()
            self.step += 1
            if self.step == 1:
                at = answer.find(b"\xaa\x12\x80\x10") + 4
                head = b"\x10" + struct.pack(">I", self.counter)
                iv = TITLE + head[1:]
                proof = head + self.gcm.mac(iv, b"\x10" + KEYS[1], answer[at : at + 16])
                self.say(
                    0xCB, b"\xc3\x01\xc1\x00\x0f\x00\x00\x28\x00\x00\xff\x01\x01\x09\x11" + proof
                )
            elif self.step == 2:
                self.say(0xC8, GET)
            else:
                self.done = answer[0] == 0xCC
        if self.done is not None:
            peer.gone = True

    def say(self, tag, plain):
        iv = struct.pack(">I", self.counter)
        self.counter += 1
        data, auth = self.gcm.encrypt(TITLE + iv, b"\x30" + KEYS[1], plain)
        body = b"\x30" + iv + bytes(data) + auth
        self.words.append(wrapped(bytes((tag, len(body))) + body))


board = Board()
meter_loop = loop.build(board)
meter = meter_loop.meter
net = Net()
board.links = Links(meter.link, board.service_uart, net)
worst = 0


def go(ms, poll=None):
    global worst
    end = time.ticks_add(time.ticks_ms(), ms)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        begun = time.ticks_ms()
        meter_loop.step()
        worst = max(worst, time.ticks_diff(time.ticks_ms(), begun))
        meter_loop._rest()
        if poll is not None:
            poll()
            if victim.done is not None:
                return


# Every buffer has been made when the second half begins.
got_in = 0
heap = []
for number, aarq in enumerate(AARQS):
    if number == len(AARQS) // 2:
        gc.collect()
        heap.append(gc.mem_alloc())
    victim = Victim(aarq, 16 * number + 2)
    go(60000, victim.poll)
    got_in += victim.done
    go(100)
gc.collect()
heap.append(gc.mem_alloc())
print(
    json.dumps(
        {
            "got_in": got_in,
            "strangers": net.count,
            "heap": heap,
            "samples_missing": meter.sample_watch.sets_missing,
            "samples_late": meter.sample_watch.sets_late,
            "han_missed": meter.han.missed,
            "han_late_max_ms": meter.han.late_max_ms,
            "han_sent": meter.han.sent,
            "worst_pass_ms": worst,
            "faults": meter.faults.count,
        }
    )
)
