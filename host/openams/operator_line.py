"""The operator at the service port of a meter that the bench runs: opens the HAN port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openams.client import data as axdr
from openams.client.client import session
from openams.client.errors import ClientError
from openams.client.links import Url
from openams.client.names import HAN_OPEN
from openams.errors import BenchError
from openams.gateway import MeterLine
from openams.keys.keystore import Keystore
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


def open_han_port(line: MeterLine | ServiceLine, store: Keystore, meter_id: str) -> None:
    """Logged and kept by the meter, as every operator's command."""
    url = Url("the service port", "serial", line=line)
    try:
        with session(url, "operator", store, meter_id, _TIMEOUT_S) as client:
            if not client.get(1, HAN_OPEN, 2):
                client.set(1, HAN_OPEN, 2, axdr.boolean(True))
    except ClientError as error:
        raise BenchError(
            f"--han-open: the meter does not take the operator of {store.path}: {error}; "
            "name the keystore with its keys with --keystore"
        ) from None
