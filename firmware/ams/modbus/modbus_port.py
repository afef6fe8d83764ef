"""The Modbus port as the settings describe it, closed until the operator opens it.

Everybody at the line or the network can read an open one. The settings' `modbus`:
`units` {"1": "sunspec", ...} says which map (served_maps.NAMES) answers at which unit; `tcp` is the
number of a TCP port, `rtu` {"baud", "parity" ("none", "even", "odd"), "stop"} an RS-485 line.
"""

from micropython import const

from ams.faults import MODBUS
from ams.modbus.served_maps import make_map
from ams.modbus.slave import Slave
from ams.storage import settings as st
from ams.storage.opening import Opening

_UNIT_MOST = const(247)
_RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
_PARITIES = {"none": None, "even": 0, "odd": 1}
# As an SDM630 leaves its works, and as inverters expect their meter.
_LINE = {"baud": 9600, "parity": "none", "stop": 1}


def _units(config):
    """[(unit, name of its map)]. Raises ValueError."""
    named = config.get("units") or {"1": "sunspec"}
    try:
        out = sorted([(int(unit), name) for unit, name in named.items()])
    except (AttributeError, TypeError, ValueError):
        raise ValueError('modbus: units is written like {"1": "sunspec"}')
    for unit, _ in out:
        if not 1 <= unit <= _UNIT_MOST:
            raise ValueError("modbus: unit %d is none: they are 1 to %d" % (unit, _UNIT_MOST))
    return out


def _line(rtu):
    """(baud, parity, stop) as a hal.Uart takes them. Raises ValueError."""
    values = dict(_LINE)
    if isinstance(rtu, dict):
        values.update(rtu)
    if values["baud"] not in _RATES:
        raise ValueError("modbus: baud is one of %s" % ", ".join([str(rate) for rate in _RATES]))
    if values["parity"] not in _PARITIES or values["stop"] not in (1, 2):
        raise ValueError("modbus: parity is none, even or odd, and stop 1 or 2")
    return values["baud"], _PARITIES[values["parity"]], values["stop"]


class ModbusPort(Opening):
    """`config` as above; raises ValueError in one line."""

    def __init__(self, meter, config, settings):
        super().__init__(settings, st.MODBUS)
        self._meter = meter
        self.units = _units(config)
        self.line = _line(config.get("rtu"))
        self.wants_line = bool(config.get("rtu"))
        self.tcp_port = config.get("tcp")
        maps = {unit: make_map(name, meter, self.line, unit) for unit, name in self.units}
        self.slave = Slave(maps, self._failed)
        self.network = None
        self._rtu = None
        self._tcp = None

    def join_line(self, uart):
        """The board has an RS-485 line."""
        from ams.modbus.rtu import RtuLine

        self._rtu = RtuLine(self.slave, uart, self.line)

    def join_network(self, network):
        """The board has a network: a hal.Network that listens on `tcp_port`."""
        if self._tcp is None:
            from ams.modbus.tcp_server import TcpServer

            self._tcp = TcpServer(self.slave, self.units[0][0])
        self.network = network

    def poll(self, ticks_ms, ticks_us):
        """Often; never waits. Whether something was answered, so that more may wait."""
        busy = False
        try:
            if self._rtu is not None:
                busy = self._rtu.poll(ticks_us, self.is_open)
            if self.network is not None:
                busy = self._tcp.poll(self.network, ticks_ms, self.is_open) or busy
        except Exception as error:
            # Whatever is wrong out there, the metering that called this goes on.
            self._failed(error)
        return busy

    def _failed(self, error):
        self._meter.faults.take(MODBUS, error)
