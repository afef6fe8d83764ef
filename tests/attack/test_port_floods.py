"""TCP connections without keys at the bench's ports, over real sockets (see `floods.py`)."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path

import pytest
from dlms import REGISTER
from host_meter import METER, Meter

from openams.client import links
from openams.client.client import session
from openams.client.errors import ClientError
from openams.client.links import parse_url
from openams.keys.keystore import Keystore
from openams.lines.linkports import LinkPorts

sys.path.insert(0, str(Path(__file__).resolve().parent))

import floods

LATENCY_S = 0.1


class Hostile:
    """`rate` new connections a second, and `held` who talk on and come again when dropped."""

    def __init__(self, url, words, rate, held):
        self._url = url
        self._words = words
        self._rate = rate
        self._held = held
        self.count = 0
        self._ending = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._flood()))

    def __enter__(self):
        self._thread.start()
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self._ending = True
        self._thread.join(30)

    async def _flood(self):
        tasks = [asyncio.create_task(self._come(True)) for _ in range(self._held)]
        while not self._ending:
            if self._rate:
                tasks.append(asyncio.create_task(self._come(False)))
            await asyncio.sleep(1 / (self._rate or 20))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _come(self, again):
        while not self._ending:
            try:
                reader, writer = await asyncio.open_connection(self._url.host, self._url.port)
                self.count += 1
                writer.write(self._words[self.count % len(self._words)]())
                while await reader.read(4096):
                    if again:
                        writer.write(floods.wrapped(16, floods.GET_REGISTER))
                writer.close()
            except OSError:
                await asyncio.sleep(0.01)
            if not again:
                return


def victims(ports, store, monkeypatch, count):
    plain = links.TcpTransport.send_request

    def late(self, apdu):
        time.sleep(LATENCY_S)
        return plain(self, apdu)

    monkeypatch.setattr(links.TcpTransport, "send_request", late)
    got_in = 0
    for _ in range(count):
        try:
            with session(parse_url(ports.urls[0]), "reader", store, METER) as client:
                got_in += client.get(3, REGISTER, 2) == 123456
        except ClientError:
            pass
    return got_in


CASES = [(floods.MIX, 50, 0), ((floods.speaking,), 0, 40), ((floods.silent,), 50, 40)]


def all_get_in(tmp_path, monkeypatch, words, rate, held, count):
    store = Keystore(tmp_path / "keystore", b"p", scrypt_n=2)
    ports = LinkPorts(None, 0)
    Meter(store, ports)
    try:
        with Hostile(parse_url(ports.urls[0]), words, rate, held) as hostile:
            assert victims(ports, store, monkeypatch, count) == count
        assert hostile.count > 50
    finally:
        ports.close()


@pytest.mark.parametrize(("words", "rate", "held"), CASES, ids=["mix", "again", "silent"])
def test_whoever_has_keys_gets_in(tmp_path, monkeypatch, words, rate, held):
    all_get_in(tmp_path, monkeypatch, words, rate, held, 8)


@pytest.mark.campaign
@pytest.mark.parametrize("word", floods.MIX, ids=lambda word: word.__name__)
def test_forty_times_of_forty(tmp_path, monkeypatch, word):
    all_get_in(tmp_path, monkeypatch, (word,), 50, 20, 40)
