"""A board on a rig: DLMS over its service port, its HAN port, a load bank, a relay box."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import serial

from openams.bench.options import DEFAULT_METER_ID
from openams.client.client import Client, session
from openams.client.links import parse_url
from openams.errors import BenchError
from openams.han.reader import FrameReader
from openams.han.reading import Reading
from openams.hil.box import Box
from openams.hil.meter import HAN, LOAD, POWER, REGISTERS, HilMeter
from openams.hil.rig import Rig
from openams.keys.opening import open_keystore
from openams.serialport import open_serial

_PARITY = {"N": serial.PARITY_NONE, "E": serial.PARITY_EVEN, "O": serial.PARITY_ODD}
_A_PLUS = "1.0.1.8.0.255"
_REGISTER = 3
_SLICE_S = 0.1
# From its supply to a meter that answers.
_BOOT_S = 3.0


class SerialMeter(HilMeter):
    """The service port at `device`; the rig says what else is connected. Time is the wall's."""

    # A load bank's resistors and the mains are what they are.
    load_accuracy = 0.01

    def __init__(self, device: str, rig: Rig) -> None:
        self.name = f"serial:{device}"
        baud = rig.meter.get("baud", 9600)
        self._url = parse_url(f"serial://{device}?baud={baud}")
        if not Path(device).exists():
            raise BenchError(f"no {device}: is the board connected?")
        self.meter_id = rig.meter.get("meter_id", DEFAULT_METER_ID)
        self._rig = rig
        self._han: _HanListener | None = None
        self._boxes: dict[str, Box] = {}
        found = set()
        try:
            self._scaler = 0
            if "keystore" in rig.meter:
                self._open_registers(rig)
                found.add(REGISTERS)
            if rig.han:
                self._han = _HanListener(rig)
                found.add(HAN)
            if rig.load_bank:
                self._boxes["load"] = box = Box(**rig.load_bank)
                if not box.loads_w():
                    raise BenchError(f"{rig.load_bank['port']} has no loads")
                found.add(LOAD)
            if rig.relay_box:
                self._boxes["supply"] = Box(**rig.relay_box)
                found.add(POWER)
        except BaseException:
            self.close()
            raise
        self.capabilities = frozenset(found)

    def _open_registers(self, rig: Rig) -> None:
        passphrase = rig.meter.get("passphrase_file")
        self._store = open_keystore(
            Path(rig.meter["keystore"]), Path(passphrase) if passphrase else None
        )
        with self._session() as client:
            self._scaler = int(client.get(_REGISTER, _A_PLUS, 3)[0])
        self.register_step_mwh = max(1, round(1000 * 10.0**self._scaler))

    def _session(self) -> contextlib.AbstractContextManager[Client]:
        return session(self._url, "reader", self._store, self.meter_id)

    def load(self, watts: float) -> float:
        return self._boxes["load"].load(watts)

    def wait(self, seconds: float) -> float:
        begin = time.monotonic()
        while (left := begin + seconds - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))
        return time.monotonic() - begin

    def readings(self) -> list[Reading]:
        return self._han.take() if self._han else []

    def import_mwh(self) -> int:
        with self._session() as client:
            value = int(client.get(_REGISTER, _A_PLUS, 2))
        return round(value * 1000 * 10.0**self._scaler)

    def cut_power(self) -> None:
        self._boxes["supply"].supply(False)

    def restore_power(self) -> None:
        self._boxes["supply"].supply(True)
        time.sleep(_BOOT_S)

    def close(self) -> None:
        if self._han:
            self._han.close()
        for box in self._boxes.values():
            box.close()


class _HanListener:
    """Reads the HAN adapter all the time, so that nothing is lost between two questions."""

    def __init__(self, rig: Rig) -> None:
        han = rig.han
        try:
            self._line = open_serial(
                han["port"],
                han.get("baud", 2400),
                parity=_PARITY[han.get("parity", "E")],
                timeout=_SLICE_S,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise BenchError(f"cannot open the HAN adapter {han['port']}: {why}") from None
        self._reader = FrameReader()
        self._readings: list[Reading] = []
        self._lock = threading.Lock()
        self._ending = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ending:
            try:
                data = self._line.read(256)
            except OSError:
                # The adapter was pulled: the test misses its frames and says so.
                return
            found = list(self._reader.feed(data))
            with self._lock:
                self._readings.extend(found)

    def take(self) -> list[Reading]:
        with self._lock:
            out, self._readings = self._readings, []
        return out

    def close(self) -> None:
        self._ending = True
        self._thread.join(timeout=5)
        self._line.close()
