"""A meter with a radio whose network is this machine: its button is pressed three times, and the
set-up page is there for who comes.

argv: ports of HTTP and DNS, a file that ends it, and how many times as fast its time goes. Prints
what the meter says, and at the end what it was left with.
"""

import json
import os
import sys
import time

import home_vm

from ams.hal import INPUT_BUTTON, Inputs, Wlan
from ams.storage import settings as st
from drivers import screens
from drivers.datagrams import Port
from drivers.tcp import Dialler, Listener

HTTP, DNS, STOP, PACE = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])


class FakeRadio(Dialler, Wlan):
    def __init__(self):
        self.events = []
        self.kept = b""

    def join(self, ssid, password):
        self.events.append("join " + ssid)

    def joined(self):
        return bool(self.events) and self.events[-1].startswith("join")

    def open_point(self, ssid, password):
        self.events.append("open " + ssid)

    def close_point(self):
        self.events.append("close")

    def listen(self, port):
        assert port == 80
        return Listener(HTTP, "127.0.0.1")

    def datagrams(self, port):
        assert port == 53
        return Port(DNS, "127.0.0.1")

    def authority(self):
        return self.kept

    def keep_authority(self, octets):
        self.kept = octets


class Button(Inputs):
    bits = 0

    def read(self):
        return self.bits


class Cells:
    def __init__(self):
        self.values = {}

    def get(self, key):
        return self.values.get(key)

    def set(self, key, value):
        self.values[key] = value


def say(text):
    print("say", text)
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def main():
    home_vm.Board.inputs = Button()
    board, meter = home_vm.make({})
    board.log = say
    cells = meter.settings._cells = Cells()
    radio = FakeRadio()
    meter.home.join_wlan(radio)
    screens.join(meter, "page", None, say)

    def go(ms):
        for _ in range(0, ms, 50):
            home_vm.go_on(board, meter, 50)
            meter.home.poll(board.clock.ms & 0x3FFFFFFF)
            meter.display.poll(board.clock.ms, meter.case.pressed)

    # Longer than a second is the breaker's; two presses are none, nor three that are far apart.
    for presses, pause_ms in (((1500, 1500, 1500), 300), ((300, 300), 300), ((300,) * 3, 4000)):
        for press_ms in presses:
            Button.bits = INPUT_BUTTON
            go(press_ms)
            Button.bits = 0
            go(pause_ms)
        assert not meter.home.setup.active
        go(6000)
    for _ in range(3):
        Button.bits = INPUT_BUTTON
        go(300)
        Button.bits = 0
        go(300)
    assert meter.home.setup.active
    go(3000)
    print("shows", *meter.display.item)
    begun = home_vm.ticks_ms()
    at = board.clock.ms
    longest = 0
    while True:
        try:
            os.stat(STOP)
            break
        except OSError:
            pass
        ms = at + ((home_vm.ticks_ms() - begun) & 0x3FFFFFFF) * PACE - board.clock.ms
        if ms > 0:
            home_vm.go_on(board, meter, ms)
        before = home_vm.ticks_ms()
        meter.home.poll(board.clock.ms & 0x3FFFFFFF)
        longest = max(longest, (home_vm.ticks_ms() - before) & 0x3FFFFFFF)
        time.sleep(0.001)
    print(json.dumps({
        "events": radio.events,
        "wifi": (cells.get(st.HOME_WIFI) or b"").decode(),
        "broker": (cells.get(st.HOME_BROKER) or b"").decode(),
        "authority": radio.kept.decode(),
        "state": meter.home.state,
        "log": [row[2:] for row in meter.events.entries() if row[1] == 47],
        "longest_ms": longest,
        "faults": meter.faults.count,
    }))  # fmt: skip


main()
