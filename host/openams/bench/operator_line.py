"""The operator at the service port of a meter that the bench runs: opens what is to be open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openams.client import data as axdr
from openams.client.client import session
from openams.client.errors import ClientError
from openams.client.links import Url
from openams.client.names import HAN_OPEN, HOME_OPEN, MODBUS_OPEN, READOUT_LEVEL, READOUT_LEVELS
from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.lines.gateway import MeterLine
from openams.runtimes.process import MeterProcess

if TYPE_CHECKING:
    from openams.runtimes.rp2040.meter import ChipMeter
    from openams.runtimes.rp2040.service import ServiceLine

# Of the line's own clock.
_TIMEOUT_S = 10.0


def service_line(meter: MeterProcess | ChipMeter) -> MeterLine | ServiceLine:
    if isinstance(meter, MeterProcess):
        return MeterLine(meter.link)
    from openams.runtimes.rp2040.service import ServiceLine

    return ServiceLine(meter)


def open_ports(
    line: MeterLine | ServiceLine,
    store: Keystore,
    meter_id: str,
    han: bool,
    readout: str | None,
    modbus: bool = False,
    mqtt: bool = False,
) -> None:
    """Logged and kept by the meter, as every operator's command.

    `readout`: one of READOUT_LEVELS; None leaves it as it is.
    """
    url = Url("the service port", "serial", line=line)
    try:
        with session(url, "operator", store, meter_id, _TIMEOUT_S) as client:
            if han and not client.get(1, HAN_OPEN, 2):
                client.set(1, HAN_OPEN, 2, axdr.boolean(True))
            if modbus and not client.get(1, MODBUS_OPEN, 2):
                client.set(1, MODBUS_OPEN, 2, axdr.boolean(True))
            if mqtt and not client.get(1, HOME_OPEN, 2):
                client.set(1, HOME_OPEN, 2, axdr.boolean(True))
            if readout is not None:
                level = READOUT_LEVELS.index(readout)
                if client.get(1, READOUT_LEVEL, 2) != level:
                    client.set(1, READOUT_LEVEL, 2, axdr.enum(level))
    except ClientError as error:
        option = "--readout"
        for asked, name in ((mqtt, "--mqtt"), (modbus, "--modbus"), (han, "--han-open")):
            option = name if asked else option
        raise BenchError(
            f"{option}: the meter does not take the operator of {store.path}: {error}; "
            "name the keystore with its keys with --keystore"
        ) from None
