"""Connections that keep others out: the board's carrier, the meter's link and its server."""

from __future__ import annotations

import os
import struct
from typing import Any

import pytest
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


class Peer:
    """A TCP connection as a board has it."""

    def __init__(self) -> None:
        self.sent = b""
        self.got = b""
        self.closed = False

    def readinto(self, buffer: Any) -> int | None:
        if not self.sent:
            return None
        piece, self.sent = self.sent[: len(buffer)], self.sent[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def write(self, data: Any) -> None:
        self.got += bytes(data)

    def close(self) -> None:
        self.closed = True


class Board:
    """Its network is the list of those who wait to be accepted."""

    def __init__(self) -> None:
        self.waiting: list[Peer] = []
        self.ms = 0
        self.link = MeterLink(self, Model(), Cells(), security(), lambda *_: None)
        self.links = Links(self.link, None, self)

    def accept(self) -> Peer | None:
        return self.waiting.pop(0) if self.waiting else None

    def connect(self) -> Conversation:
        peer = Peer()
        self.waiting.append(peer)
        self.poll()
        return Conversation(self, peer)

    def poll(self, times: int = 6) -> None:
        for _ in range(times):
            self.ms += 10
            self.links.poll(self.ms)

    def entropy(self, count: int) -> bytes:
        return os.urandom(count)

    def log(self, text: str) -> None:
        pass

    def link_write(self, channel: int, data: Any) -> None:
        self.links.write(channel, data)

    def link_close(self, channel: int) -> None:
        self.links.close(channel)


class Conversation:
    """What `dlms.Raw` asks for its answers."""

    def __init__(self, board: Board, peer: Peer) -> None:
        self.board = board
        self.peer = peer

    def request(self, apdu: bytes, sap: int, channel: int = 1) -> bytes | None:
        self.peer.sent += struct.pack(">4H", 1, sap, 1, len(apdu)) + apdu
        self.board.poll()
        answer, self.peer.got = self.peer.got[8:], b""
        return answer or None


def silent(board: Board) -> None:
    board.connect()


def empty(board: Board) -> None:
    """A message without an APDU."""
    board.connect().request(b"", 16)


def chatting(board: Board) -> None:
    Public(board.connect()).associate().ask(GET_REGISTER)


def guessing(board: Board) -> None:
    raw = Raw(board.connect(), keys=(bytes(16), bytes(16)))
    raw.send(raw.aarq())


@pytest.mark.parametrize("attack", [silent, empty, chatting, guessing])
def test_four_connections_do_not_keep_the_keys_out(attack):
    board = Board()
    for _ in range(4):
        attack(board)
    operator = Raw(board.connect()).associate()
    assert operator.ask(GET_REGISTER) == REGISTER_ANSWER
    # Nor does a flood: who has shown the keys stays.
    for _ in range(9):
        attack(board)
        assert operator.ask(GET_REGISTER) == REGISTER_ANSWER
    late = Raw(board.connect(), counter=100).associate()
    assert late.ask(GET_REGISTER) == REGISTER_ANSWER


def reader(board: Board, counter: int) -> Raw:
    return Raw(board.connect(), sap=2, keys=READER_KEYS, counter=counter).associate()


def test_those_who_have_shown_keys_are_not_displaced():
    board = Board()
    clients = [Raw(board.connect(), counter=100 * k + 1).associate() for k in range(2)]
    clients += [reader(board, 100 * k + 1) for k in range(2)]
    refused = board.connect()
    assert refused.peer.closed
    for number, client in enumerate(clients):
        client.counter = 1000 + number
        assert client.ask(GET_REGISTER) == REGISTER_ANSWER
    # Whoever releases his association gives way.
    clients[1].send(b"\x62\x03\x80\x01\x00")
    assert Raw(board.connect(), counter=2000).associate().ask(GET_REGISTER) == REGISTER_ANSWER
    assert clients[1].bench.peer.closed


def test_the_keys_of_one_client_do_not_keep_the_others_out():
    board = Board()
    readers = [reader(board, 100 * k + 1) for k in range(4)]
    operators = [Raw(board.connect(), counter=100 * k + 1).associate() for k in range(2)]
    assert [client.bench.peer.closed for client in readers] == [True, True, False, False]
    # Two of each are there, and stay.
    assert board.connect().peer.closed
    for client in readers[2:] + operators:
        client.counter += 1000
        assert client.ask(GET_REGISTER) == REGISTER_ANSWER
