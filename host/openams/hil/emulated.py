"""Emulated meters under test: what all have, and those in a process of their own.

Their time is simulated: it passes while a test waits.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openams.errors import BenchError
from openams.grid import ideal
from openams.han.errors import HanError
from openams.han.reader import FrameReader
from openams.han.reading import Reading
from openams.hil.meter import CAPABILITIES, HilMeter, LoadScenario
from openams.hil.options import MeterOptions
from openams.runtimes.launch import HEAP_KIB, LINK_HEAP_KIB
from openams.runtimes.process import MeterProcess
from openams.runtimes.state import FLASH_SIZE, SLOTS_SIZE, StateImage
from openams.runtimes.wire import Frame

if TYPE_CHECKING:
    from openams.grid.frontend import FrontEndModel
    from openams.keys.keystore import Keystore
    from openams.keys.model import MeterKeys
    from openams.lines.hanline import HanLine
    from openams.lines.linkports import LinkPorts

DEFAULTS = MeterOptions()
START_MS = DEFAULTS.start_ms
RATE = 4000
# Sample sets per message: one cycle.
BLOCK = 80


def configuration(state: Path, start_ms: int, options: MeterOptions = DEFAULTS) -> dict[str, Any]:
    """A meter with the ideal front end, by default of one phase and with an open HAN port."""
    system = options.system
    return {
        "system": system,
        "calibration": ideal.calibration(system),
        "identity": options.identity,
        "han": {
            "format": options.han_format,
            "variant": options.han_variant,
            "options": dict(options.han_options),
            "quirk": options.quirk,
            "seed": options.seed,
            "summer_time": options.han_summer_time,
        },
        "han_open": options.han_open,
        "utc_ms": start_ms,
        "flash": str(state),
        "flash_size": FLASH_SIZE,
        "slots": str(state.with_name("slots.bin")),
        "slots_size": SLOTS_SIZE,
    }


class EmulatedMeter(HilMeter):
    """The state is kept in `folder`. With the option `dlms` it has a `url` for DLMS clients
    and `keys` of its own."""

    capabilities = frozenset(CAPABILITIES)

    def __init__(self, name: str, folder: Path, options: MeterOptions) -> None:
        self.name = name
        self.meter_id = options.meter_id
        self._options = options
        self._folder = folder
        self._state = StateImage(folder, durable=False)
        self._grid = LoadScenario(options.system)
        self._reader = FrameReader()
        self._readings: list[Reading] = []
        self._line: dict[str, Any] | None = None
        self._han: HanLine | None = None
        self._ports: LinkPorts | None = None
        self._tcp_port = 0
        self.keystore: Keystore | None = None
        if options.dlms:
            from openams.keys.keystore import Keystore
            from openams.keys.sealed import SCRYPT_N_RANDOM

            passphrase = secrets.token_bytes(32)
            self.keystore = Keystore(folder / "keystore", passphrase, SCRYPT_N_RANDOM)

    @property
    def url(self) -> str:
        """Where DLMS clients find it."""
        if not self._ports:
            raise BenchError("no DLMS here: ask for it with the meter option dlms=True")
        return self._ports.urls[0]

    @property
    def keys(self) -> MeterKeys:
        """The keys of its clients."""
        if not self.keystore:
            raise BenchError("no DLMS here: ask for it with the meter option dlms=True")
        return self.keystore.get(self.meter_id)

    def han_port(self) -> Path:
        """A serial device that carries what the HAN port sends from now on."""
        if not self._han:
            from openams.lines.hanline import HanLine

            self._han = HanLine(self._folder / "han", None)
            if self._line:
                self._han.set_line(self._line)
        return self._han.link

    def _frame(self, frame: Frame) -> None:
        if self._han:
            self._han.send(frame.data)
        # A quirk may send what no reader takes: the test's own is under test, not ours.
        with contextlib.suppress(HanError):
            self._readings.extend(self._reader.feed(frame.data))

    def _set_line(self, line: dict[str, Any]) -> None:
        self._line = line
        if self._han:
            self._han.set_line(line)

    def _configuration(self, now_ms: int) -> dict[str, Any]:
        config = configuration(self._state.path, now_ms, self._options)
        if self.keystore:
            from openams.keys.provision import provisioned

            config["security"] = provisioned(self.keystore, self.meter_id)
        return config

    def _open_ports(self) -> LinkPorts | None:
        if not self.keystore:
            return None
        from openams.lines.linkports import LinkPorts

        self._ports = LinkPorts(None, self._tcp_port)
        # A power cut does not change where clients find it.
        self._tcp_port = int(self._ports.urls[0].rpartition(":")[2])
        return self._ports

    def _close_ports(self) -> None:
        if self._ports:
            self._ports.close()
            self._ports = None

    def load(self, watts: float) -> float:
        self._grid.watts = watts
        return watts

    def readings(self) -> list[Reading]:
        out, self._readings = self._readings, []
        return out

    def close(self) -> None:
        self._close_ports()
        if self._han:
            self._han.close()
        self._state.close()


def _load_front_end() -> Any:
    return importlib.import_module("openams.grid.frontend")


class ProcessMeter(EmulatedMeter):
    """On CPython or on the MicroPython VM: `runtime` is one of `runtimes.launch.RUNTIMES`."""

    def __init__(
        self, name: str, runtime: str, folder: Path, options: MeterOptions = DEFAULTS
    ) -> None:
        super().__init__(name, folder, options)
        self._runtime = runtime
        # What makes samples is loaded while the meter starts: a test needs it when time passes.
        threading.Thread(target=_load_front_end, daemon=True).start()
        self._now_ms = options.start_ms
        self._index = 0
        self._process: MeterProcess | None = None
        try:
            self.restore_power()
        except BaseException:
            self.close()
            raise

    @functools.cached_property
    def _front_end(self) -> FrontEndModel:
        front_end: FrontEndModel = _load_front_end().make_front_end(
            "ideal", self._options.system, 1
        )
        return front_end

    def _running(self) -> MeterProcess:
        assert self._process, "the power is off"
        return self._process

    def wait(self, seconds: float) -> float:
        process = self._running()
        blocks = round(seconds * RATE / BLOCK)
        for _ in range(blocks):
            codes = self._front_end.quantise(self._grid.block(RATE, BLOCK))
            self._now_ms += 1000 * BLOCK // RATE
            process.samples(self._now_ms, self._index, codes)
            self._index += BLOCK
        process.view()  # what was sent before it is there when it answers
        return blocks * BLOCK / RATE

    def import_mwh(self) -> int:
        return int(self._running().view()["registers"]["a_plus_mwh"])

    def cut_power(self) -> None:
        self._running().kill()
        self._process = None
        self._close_ports()

    def restore_power(self) -> None:
        self._index = 0
        ports = self._open_ports()
        self._process = MeterProcess(
            self._runtime,
            self._frame,
            self._set_line,
            heap_kib=LINK_HEAP_KIB if ports else HEAP_KIB,
            on_link=ports.from_meter if ports else None,
            on_restart=ports.restarted if ports else None,
            more_numbers=self._more_numbers if self.keystore else None,
        )
        self._process.configure(self._configuration(self._now_ms))
        if ports:
            self._process.answer_soon()
            ports.attach(self._process.link)

    def _more_numbers(self, least: int) -> tuple[int, int]:
        from openams.keys.provision import more_numbers

        assert self.keystore
        return more_numbers(self.keystore, self.meter_id, least)

    def close(self) -> None:
        if self._process:
            self.cut_power()
        super().close()
