"""A concentrator whose process is killed at random: nothing stored is lost or doubled, and no
reader's counter serves twice.

The campaign's 200 kills are replayed by OPENAMS_SEED; a slice runs at every commit.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from substation import Asking, Meters

from openams.client.client import session
from openams.client.links import parse_url
from openams.client.meterday import read_day
from openams.concentrator.roster import Listed
from openams.han.cipher import unseal
from openams.meter_time import NORWAY
from tests.ports import free_port

AMS = Path(sys.executable).with_name("ams")
COUNT, DAYS = 4, 5


class Tap:
    """Between the concentrator and a meter: passes on, and notes the counters of what is sealed."""

    def __init__(self, url, keys):
        self.to = parse_url(url)
        self.keys = keys
        self.counters: list[int] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                meter = socket.create_connection((self.to.host, self.to.port))
                for pair, noted in (((client, meter), True), ((meter, client), False)):
                    threading.Thread(target=self._carry, args=(*pair, noted), daemon=True).start()

    def _carry(self, source, sink, noted):
        held = b""
        try:
            while piece := source.recv(65536):
                if noted:
                    held = self._note(held + piece)
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _note(self, held):
        while len(held) >= 8 and len(held) >= (size := 8 + int.from_bytes(held[6:8], "big")):
            self._counted(held[8:size])
            held = held[size:]
        return held

    def _counted(self, apdu):
        """Of a ciphered request its number, and that of the proof which it may hold."""
        pair = self.keys.current
        if apdu[0] == 0xDB:
            title, at = apdu[2:10], 10
        else:  # AARQ and RLRQ: a sealed InitiateRequest at their end
            at = apdu.rfind(b"\x21", 0, len(apdu) - 30) + 1
            title = bytes.fromhex(self.keys.title)
            while apdu[at + 1] != 0x30 or apdu[at - 1] != 0x21 or at + 1 + apdu[at] != len(apdu):
                at = apdu.rfind(b"\x21", 0, at - 1) + 1
                assert at > 0, apdu.hex()
        at += 1 if apdu[at] < 0x80 else 1 + (apdu[at] & 0x7F)
        assert apdu[at] == 0x30
        number, body = apdu[at + 1 : at + 5], apdu[at + 5 :]
        aad = b"\x30" + bytes.fromhex(pair.authentication)
        plain = unseal(bytes.fromhex(pair.encryption), title + number, aad, body)
        assert plain is not None, "what is noted is what is sealed"
        self.counters.append(int.from_bytes(number, "big"))
        if plain[:1] == b"\xc3":
            self.counters.append(int.from_bytes(plain[-16:-12], "big"))


@pytest.fixture(scope="module")
def meters(tmp_path_factory):
    made = Meters(tmp_path_factory.mktemp("meters"), COUNT, DAYS)
    yield made
    made.close()


def the_truth(meters):
    """The rows of each meter and day, read from the meter itself."""
    out = {}
    today = datetime.now(NORWAY).date()
    for meter in meters.fleet.meters:
        with session(parse_url(meter.url), "operator", meters.keys, meter.meter_id) as client:
            for k in range(1, DAYS + 1):
                day = today - timedelta(k)
                out[meter.meter_id, day.isoformat()] = read_day(client, day, datetime.now(UTC)).rows
    return out


class HeadEnd:
    """Takes what there is; what it has must stay as it is."""

    def __init__(self):
        self.store_id = ""
        self.has: dict[tuple[str, str], dict] = {}
        self.after = 0
        self.may_be_lost = True  # since it last asked the store was taken away

    def collect(self, ask):
        code, body = ask(f"/v1/days?after={self.after}&limit=7")
        assert code == 200, body
        if body["store_id"] != self.store_id:
            assert self.may_be_lost, "another store without a reason"
            self.store_id, self.has, self.after = body["store_id"], {}, 0
            self.may_be_lost = False
            return
        for day in body["days"]:
            key = day["meter_id"], day["day"]
            before = self.has.get(key)
            assert day["seq"] > self.after
            assert before is None or day["revision"] == before["revision"] + 1, "given twice"
            self.has[key] = day
            self.after = day["seq"]

    def compare(self, ask):
        """All that it was ever given, again from the first."""
        found, after = {}, 0
        while True:
            code, body = ask(f"/v1/days?after={after}")
            if body["store_id"] != self.store_id and self.may_be_lost:
                return
            assert code == 200 and body["store_id"] == self.store_id
            for day in body["days"]:
                assert (day["meter_id"], day["day"]) not in found, "doubled"
                found[day["meter_id"], day["day"]] = day
            after = body["next"]
            if not body["more"]:
                break
        for key, day in self.has.items():
            assert key in found, "lost"
            assert found[key] == day or found[key]["revision"] > day["revision"]


def start(folder, meters, ports, list_path):
    return subprocess.Popen(
        [
            *(str(AMS), "concentrator", "run", str(folder), "--list", str(list_path), "--json"),
            *("--port", str(ports[0]), "--http-port", str(ports[1]), "--window", "00:00-23:59:59"),
            *("--keystore", str(meters.readers_path), "--timeout", "5"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENAMS_KEYSTORE_PASSPHRASE": "c"},
    )


class Door:
    def __init__(self, port):
        self.door = self
        self.port = port


def kills(meters, folder, count, seed):
    rng = random.Random(seed)
    truth = the_truth(meters)
    taps = [
        Tap(meter.url, meters.readers.get(meter.meter_id).client(2))
        for meter in meters.fleet.meters
    ]
    meters.listed = [
        Listed(meter.meter_id, tap.url)
        for meter, tap in zip(meters.fleet.meters, taps, strict=True)
    ]
    list_path = meters.write_list(folder / "meters.csv")
    ports = [free_port(), free_port()]
    store, head_end = folder / "C0001", HeadEnd()
    ask = None
    for number in range(count + 1):
        last = number == count
        lost = number and number % 25 == 24
        if lost:
            for end in ("", "-wal", "-shm"):
                (store / f"store{end}").unlink(missing_ok=True)
            head_end.may_be_lost = True
        process = start(store, meters, ports, list_path)
        watch = threading.Timer(rng.uniform(0.4, 2.2), process.kill)
        try:
            if not last:
                watch.start()
            if process.stdout.readline():
                ask = Asking(Door(ports[1]), store)
                with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                    if head_end.store_id and not lost:
                        head_end.compare(ask)
                    for _ in range(5):
                        key = rng.choice(list(truth))
                        ask("/v1/ask", {"meter_id": key[0], "day": key[1]})
                    while process.poll() is None:
                        head_end.collect(ask)
                        if rng.random() < 0.3:
                            order = {"store_id": head_end.store_id, "seq": head_end.after}
                            ask("/v1/days/taken", order)
                        time.sleep(0.02)
                        if last and truth.keys() <= head_end.has.keys():
                            break
            if last:
                head_end.compare(ask)
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
            assert last or process.returncode == -signal.SIGKILL, process.stderr.read()
        finally:
            watch.cancel()
            process.kill()
            process.communicate()
    assert process.returncode == 0
    assert {key: head_end.has[key]["rows"] for key in truth} == truth
    # Of days before the meters were there they have nothing to tell.
    assert not any(day["rows"] for key, day in head_end.has.items() if key not in truth)
    for tap in taps:
        assert len(tap.counters) == len(set(tap.counters)), "a counter has served twice"
    return sum(len(tap.counters) for tap in taps)


def test_kills(meters, tmp_path):
    assert kills(meters, tmp_path, 6, 1) > 50


@pytest.mark.campaign
def test_two_hundred_kills(meters, tmp_path):
    seed = int(os.environ.get("OPENAMS_SEED", time.time_ns() % 10**6))
    print(f"OPENAMS_SEED={seed}")
    counters = kills(meters, tmp_path, 200, seed)
    print(f"{counters} counters, none twice")
    assert counters > 300, "it was killed before it had read anything"
