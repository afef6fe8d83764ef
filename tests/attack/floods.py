"""TCP connections without keys against a client that has some (docs/security.md).

The board's carrier (`drivers.links`), the meter's link and its server, and a network of peers;
time is ours. A victim connects, and one latency after everything it hears says its next word.
For CPython and the MicroPython VM alike.
"""

import os
import struct

from dlms import (
    GET_REGISTER,
    READER_KEYS,
    REGISTER_ANSWER,
    Cells,
    Model,
    Public,
    Raw,
    security,
)

from ams.link import MeterLink
from drivers.links import Links

PATIENCE_MS = 3000  # of the victim, for each answer


class Peer:
    """A TCP connection as a board has it; `sent` is what waits to be read."""

    def __init__(self, sent=b"", address="elsewhere"):
        self.sent = sent
        self.got = b""
        self.closed = False
        self.gone = False  # the other end has closed it
        self.address = address

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


def wrapped(sap, apdu):
    return struct.pack(">4H", 1, sap, 1, len(apdu)) + apdu


class Board:
    """Its network is the list of those who wait to be accepted; it has so many `places`, if any."""

    def __init__(self, poll_ms=5, places=None):
        self.waiting = []
        self.ms = 0
        self.poll_ms = poll_ms
        self.places = places
        self.open = []  # peers that were accepted
        self.most = 0
        self.flood = None
        self.counter = 1  # of the victims
        self.link = MeterLink(self, Model(), Cells(), security(), lambda *_: None)
        self.links = Links(self.link, None, self)

    def accept(self):
        if not self.waiting:
            return None
        peer = self.waiting.pop(0)
        self.open = [other for other in self.open if not other.closed]
        if self.places is not None and len(self.open) >= self.places:
            # As lwIP does it: the connection is lost with the error.
            peer.closed = True
            raise OSError(23)
        self.open.append(peer)
        self.most = max(self.most, len(self.open))
        return peer

    def run(self, ms):
        end = self.ms + ms
        while self.ms < end:
            if self.flood is not None:
                self.flood.step(self)
            self.ms += self.poll_ms
            self.links.poll(self.ms & 0x3FFFFFFF)

    def entropy(self, count):
        return os.urandom(count)

    def log(self, text):
        pass

    def link_write(self, channel, data):
        return self.links.write(channel, data)

    def link_close(self, channel):
        self.links.close(channel)


class Conversation:
    """What `dlms.Raw` asks for its answers: `latency_ms` lie before each word."""

    def __init__(self, board, latency_ms, address="elsewhere"):
        self.board = board
        self.latency_ms = latency_ms
        self.peer = Peer(b"", address)
        board.waiting.append(self.peer)

    def request(self, apdu, sap, channel=1):
        board, peer = self.board, self.peer
        board.run(self.latency_ms)
        if peer.closed:
            return None
        peer.sent += wrapped(sap, apdu)
        end = board.ms + PATIENCE_MS
        while not peer.got and not peer.closed and board.ms < end:
            board.run(board.poll_ms)
        answer, peer.got = peer.got[8:], b""
        return answer or None


# --- what the hostile say ----------------------------------------------------------------

_PUBLIC = Public(None)
_AARQ = wrapped(16, _PUBLIC.aarq(info=_PUBLIC.initiate(), context=1, mechanism=None))


def silent():
    return b""


def speaking():
    return _AARQ


def garbage():
    return b"GET / HTTP/1.0\r\n\r\n"


def half():
    return _AARQ[:20]


def head_only():
    return struct.pack(">4H", 1, 2, 1, 900)


def empty():
    return wrapped(16, b"") * 3


def drip():
    return b"\0"


def forged():
    """The reader's title and a key that is not the reader's."""
    return wrapped(2, Raw(None, 2, (bytes(16), bytes(16))).aarq())


def long_half():
    return wrapped(16, bytes(1024))[:700]


MIX = (silent, speaking, garbage, half, head_only, empty, drip, forged, long_half)


class Flood:
    """`every_ms`: a new connection; `held`: so many besides, who connect again when dropped.

    `burst`: so many come at a time. What each says is next of `words`.
    """

    def __init__(self, words, every_ms=0, held=0, burst=1):
        self.words = words
        self.every_ms = every_ms
        self.burst = burst
        self.held = [None] * held
        self.count = 0
        self._due_ms = 0

    def _connect(self, board):
        peer = Peer(self.words[self.count % len(self.words)]())
        self.count += 1
        board.waiting.append(peer)
        return peer

    def step(self, board):
        for k, peer in enumerate(self.held):
            if peer is None or peer.closed:
                self.held[k] = self._connect(board)
            elif peer.got:
                # Whoever was answered goes on talking.
                peer.got = b""
                peer.sent += wrapped(16, GET_REGISTER)
        while self.every_ms and board.ms >= self._due_ms:
            for _ in range(self.burst):
                self._connect(board)
            self._due_ms += self.every_ms * self.burst


def victims(board, latency_ms, count=40, pause_ms=37, address="elsewhere"):
    """How many of so many clients with keys got in, and read a register."""
    got_in = 0
    board.run(1000)
    for _ in range(count):
        conversation = Conversation(board, latency_ms, address)
        client = Raw(conversation, 2, READER_KEYS, board.counter)
        try:
            client.associate()
            got_in += client.ask(GET_REGISTER) == REGISTER_ANSWER
        except (AssertionError, AttributeError, TypeError):
            pass  # no answer
        board.counter = client.counter + 1
        conversation.peer.gone = True
        board.run(pause_ms)
    return got_in


def trial(words, every_ms=0, held=0, latency_ms=100, poll_ms=5, burst=1, places=None, count=40):
    board = Board(poll_ms, places)
    board.flood = Flood(words, every_ms, held, burst)
    return victims(board, latency_ms, count), board


# words, every_ms, held, latency_ms, poll_ms, burst: at 50 connections a second and more.
TRIALS = (
    ((speaking,), 20, 0, 100, 5, 1),
    ((silent,), 20, 0, 100, 5, 1),
    ((garbage, empty, head_only, drip), 20, 0, 200, 10, 1),
    ((forged,), 20, 0, 100, 5, 1),
    (MIX, 20, 0, 20, 5, 1),
    (MIX, 20, 0, 300, 25, 1),
    ((silent, speaking), 20, 0, 100, 5, 25),  # the same number, in bursts
    ((speaking,), 0, 60, 100, 5, 1),  # they are there again at once, and talk on
    ((silent,), 20, 50, 100, 10, 1),
)
# Longer ones.
MORE = (
    ((half,), 20, 0, 300, 5, 1),
    (MIX, 20, 0, 300, 2, 1),
    (MIX, 10, 0, 300, 20, 1),
    (MIX, 0, 40, 100, 5, 1),
    (MIX, 20, 50, 300, 5, 1),
    (MIX, 0, 200, 100, 5, 1),
    ((silent,), 0, 200, 200, 5, 1),
)


def kept_out(trials=TRIALS, count=40):
    """The trials in which not each of so many victims got in."""
    failed = []
    for words, every_ms, held, latency_ms, poll_ms, burst in trials:
        got_in, _ = trial(words, every_ms, held, latency_ms, poll_ms, burst, None, count)
        if got_in != count:
            names = [word.__name__ for word in words]
            failed.append((names, every_ms, held, latency_ms, poll_ms, burst, got_in))
    return failed
