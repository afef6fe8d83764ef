"""A board on a rig without hardware: a meter in a process behind pseudo-terminals, in real time.

Its service port, HAN port, load bank and relay box are serial devices, so what
tests a board tests it in the same way.
"""

from __future__ import annotations

import functools
import os
import selectors
import threading
import time
from pathlib import Path

from openams.bench.options import DEFAULT_METER_ID
from openams.grid.frontend import make_front_end
from openams.hil.emulated import BLOCK, RATE, START_MS, configuration
from openams.hil.meter import LoadScenario
from openams.keys.keystore import Keystore
from openams.keys.provision import more_numbers, provisioned
from openams.lines.hanline import HanLine
from openams.lines.linkports import LinkPorts
from openams.lines.ptylink import PtyLink
from openams.runtimes.launch import LINK_HEAP_KIB
from openams.runtimes.process import MeterProcess
from openams.runtimes.state import StateImage
from openams.runtimes.wire import Frame

LOADS_W = (0, 500, 2300)
_SLICE_S = 0.02


class StandIn:
    """`folder` holds the state and the links; keys come from (and go to) `store`."""

    def __init__(self, folder: Path, store: Keystore, runtime: str = "micropython") -> None:
        self._runtime = runtime
        self._store = store
        self._security = provisioned(store, DEFAULT_METER_ID)
        self._state = StateImage(folder / "state")
        self._grid = LoadScenario()
        self._front_end = make_front_end("ideal", "1P2W", 1)
        self._han = HanLine(folder / "han", 1.0)
        self._boxes = {
            "load": PtyLink(folder / "load", "load"),
            "supply": PtyLink(folder / "relay", "relay"),
        }
        self._orders = {"load": b"", "supply": b""}
        self._service_link = folder / "service"
        self.service, self.han = self._service_link, self._han.link
        self.load_bank, self.relay_box = (box.link for box in self._boxes.values())
        self._began = time.monotonic()
        self._process: MeterProcess | None = None
        self._ports: LinkPorts | None = None
        self._supply(True)
        self._ending = False
        self._selector = selectors.DefaultSelector()
        for name, box in self._boxes.items():
            self._selector.register(box.master, selectors.EVENT_READ, name)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending = True
        self._thread.join(timeout=30)
        self._supply(False)
        self._selector.close()
        for box in self._boxes.values():
            box.close()
        self._han.close()
        self._state.close()

    def _now_ms(self) -> int:
        return START_MS + int((time.monotonic() - self._began) * 1000)

    def _frame(self, frame: Frame) -> None:
        self._han.send(frame.data)

    def _supply(self, on: bool) -> None:
        if on and not self._process:
            self._ports = ports = LinkPorts(PtyLink(self._service_link, "service"))
            self._process = process = MeterProcess(
                self._runtime,
                self._frame,
                self._han.set_line,
                heap_kib=LINK_HEAP_KIB,
                on_link=ports.from_meter,
                more_numbers=functools.partial(more_numbers, self._store, DEFAULT_METER_ID),
            )
            config = configuration(self._state.path, self._now_ms())
            process.configure({**config, "security": self._security})
            self._powered = time.monotonic()
            self._sets = 0
            ports.attach(process.link)
        elif not on and self._process and self._ports:
            self._process.kill()
            self._ports.close()
            self._process = self._ports = None

    def _run(self) -> None:
        while not self._ending:
            for key, _ in self._selector.select(_SLICE_S):
                self._listen(key.data)
            if self._process:
                self._sample(self._process)

    def _sample(self, process: MeterProcess) -> None:
        """The samples up to now, and the meter's time."""
        due = int((time.monotonic() - self._powered) * RATE)
        while self._sets + BLOCK <= due:
            codes = self._front_end.quantise(self._grid.block(RATE, BLOCK))
            process.samples(self._now_ms(), self._sets, codes)
            self._sets += BLOCK

    def _listen(self, name: str) -> None:
        master = self._boxes[name].master
        try:
            self._orders[name] += os.read(master, 256)
        except OSError:
            return
        *orders, self._orders[name] = self._orders[name].split(b"\n")
        for order in orders:
            os.write(master, self._answer(name, order.decode("ascii", "replace")).encode() + b"\n")

    def _answer(self, name: str, order: str) -> str:
        words = order.split()
        if words == ["?"]:
            return "box supply" if name == "supply" else f"box load {' '.join(map(str, LOADS_W))}"
        if len(words) == 2 and words[0] == name == "load" and words[1] in map(str, LOADS_W):
            self._grid.watts = float(words[1])
            return f"ok {words[1]}"
        if len(words) == 2 and words[0] == name == "supply" and words[1] in ("on", "off"):
            self._supply(words[1] == "on")
            return f"ok {words[1]}"
        return "what?"
