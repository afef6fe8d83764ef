"""What is said of the meter: its values as whole numbers, their topics, and what Home Assistant is
told about each (MQTT discovery).

Values are those of the HAN lists, through the same view (ams.han.list_view), none of a quirk.
"""

from micropython import const

from ams import __version__
from ams.han.list_view import View, nearest
from ams.home.mqtt import decimal
from ams.objects.alarms import NAMES
from ams.registers.demand import HIGHEST, HOUR

_POWER = const(0)
_ENERGY = const(1)
_VOLTAGE = const(2)
_CURRENT = const(3)
_PEAK = const(4)
_BREAKER = const(5)
_ALARM = const(6)
_ALARMS = const(7)
_DROPPED = const(8)

# Topic, name, unit, device class, state class, digits behind the point, which value, of what.
# Home Assistant has no device class for reactive energy that all its versions know.
ROWS = (
    ("power_import", "Power import", "W", "power", "measurement", 0, _POWER, 0),
    ("power_export", "Power export", "W", "power", "measurement", 0, _POWER, 1),
    ("reactive_import", "Reactive power import", "var", "reactive_power", "measurement", 0,
     _POWER, 2),
    ("reactive_export", "Reactive power export", "var", "reactive_power", "measurement", 0,
     _POWER, 3),
    ("energy_import", "Energy import", "kWh", "energy", "total_increasing", 3, _ENERGY, 0),
    ("energy_export", "Energy export", "kWh", "energy", "total_increasing", 3, _ENERGY, 1),
    ("reactive_energy_import", "Reactive energy import", "kvarh", None, "total_increasing", 3,
     _ENERGY, 2),
    ("reactive_energy_export", "Reactive energy export", "kvarh", None, "total_increasing", 3,
     _ENERGY, 3),
    ("voltage_l1", "Voltage L1", "V", "voltage", "measurement", 1, _VOLTAGE, 0),
    ("voltage_l2", "Voltage L2", "V", "voltage", "measurement", 1, _VOLTAGE, 1),
    ("voltage_l3", "Voltage L3", "V", "voltage", "measurement", 1, _VOLTAGE, 2),
    ("current_l1", "Current L1", "A", "current", "measurement", 2, _CURRENT, 0),
    ("current_l2", "Current L2", "A", "current", "measurement", 2, _CURRENT, 1),
    ("current_l3", "Current L3", "A", "current", "measurement", 2, _CURRENT, 2),
    ("peak_1", "Highest hour of the month", "W", "power", "measurement", 0, _PEAK, 0),
    ("peak_2", "Second highest hour of the month", "W", "power", "measurement", 0, _PEAK, 1),
    ("peak_3", "Third highest hour of the month", "W", "power", "measurement", 0, _PEAK, 2),
    ("peak_mean", "Mean of the highest hours", "W", "power", "measurement", 0, _PEAK, HIGHEST),
    ("breaker", "Breaker", None, None, None, 0, _BREAKER, 0),
    ("alarm", "Alarm", None, "problem", None, 0, _ALARM, 0),
    ("alarms", "Alarms", None, None, None, 0, _ALARMS, 0),
    ("hours_dropped", "Hours not delivered", None, None, "total_increasing", 0, _DROPPED, 0),
)  # fmt: skip
_BREAKER_STATES = ("disconnected", "connected", "ready-for-reconnection")
_SIGNS_MOST = const(255)  # of a state of Home Assistant
_LINE_VOLTAGES = ("L1-L2", "L1-L3", "L2-L3")


class Entities:
    """`ring` is the HourRing; `rows` are the numbers of ROWS that this meter has."""

    def __init__(self, meter, ring):
        self._meter = meter
        self._ring = ring
        self.view = View(meter.quantities, meter.energy, meter.identity, meter.local_clock)
        system = self.view.system
        self.rows = bytes([k for k in range(len(ROWS)) if _is_there(ROWS[k], system)])

    def key(self, k):
        return ROWS[k][0].encode()

    def value(self, k):
        """Of ROWS[k], in units of its last digit."""
        row = ROWS[k]
        kind, of = row[6], row[7]
        view = self.view
        if kind == _POWER:
            return view.power(of)
        if kind == _ENERGY:
            return view.energy_now(of, 1000)
        if kind == _VOLTAGE:
            return view.voltage(of, 100)
        if kind == _CURRENT:
            return view.current(of, 10000)
        if kind == _PEAK:
            return self._peak(of)
        if kind == _BREAKER:
            return self._meter.control.breaker.state
        if kind == _DROPPED:
            return self._ring.dropped
        register = self._meter.model.alarms.register
        return register if kind == _ALARMS else int(register != 0)

    def _peak(self, rank):
        """W of one of the three highest hours of different days, or the mean of those there are."""
        energy = self.view.registers
        of = energy.highest.of
        unit = energy.transformers.unit
        if rank < HIGHEST:
            return nearest(of(HOUR, rank)[0] * unit, 1000)
        found = [mw for mw in [of(HOUR, k)[0] for k in range(HIGHEST)] if mw]
        return nearest(sum(found) * unit, 1000 * len(found)) if found else 0

    def text(self, k, value):
        """A value as it is said."""
        row = ROWS[k]
        if row[6] == _BREAKER:
            return _BREAKER_STATES[value]
        if row[6] == _ALARM:
            return "ON" if value else "OFF"
        if row[6] == _ALARMS:
            return ",".join([name for bit, name in NAMES if value & bit])[:_SIGNS_MOST] or "none"
        return decimal(value, row[5])

    def hour_values(self):
        """A+, A-, R+, R- in Wh and varh at the end of the last full hour."""
        view = self.view
        return [view.energy(which, 1000) for which in range(4)]

    def config_topic(self, k, discovery, node):
        kind = "binary_sensor" if ROWS[k][6] == _ALARM else "sensor"
        return b"%s/%s/%s/%s/config" % (discovery, kind.encode(), node, ROWS[k][0].encode())

    def config(self, k, topic, node, out):
        """What Home Assistant is told of ROWS[k]: JSON by `out(text)`, piece by piece.

        `topic`: prefix and number of the meter; `node`: a name for the meter that is the same
        with any prefix.
        """
        key, name, unit, device_class, state_class, digits, kind, of = ROWS[k]
        if kind == _VOLTAGE and self.view.system == "3P3W":
            name = "Voltage " + _LINE_VOLTAGES[of]
        identity = self._meter.identity
        node = node.decode()
        topic = topic.decode()
        out('{"name":"%s","unique_id":"%s_%s"' % (name, node, key))
        out(',"state_topic":"%s/%s","availability_topic":"%s/status"' % (topic, key, topic))
        if unit:
            out(',"unit_of_measurement":"%s"' % unit)
            out(',"suggested_display_precision":%d' % digits)
        if device_class:
            out(',"device_class":"%s"' % device_class)
        if state_class:
            out(',"state_class":"%s"' % state_class)
        if kind >= _ALARM:
            out(',"entity_category":"diagnostic"')
        out(',"device":{"identifiers":["%s"],"name":"Meter %s"' % (node, identity.meter_id))
        out(',"manufacturer":"OpenAMS","model":%s' % quoted(identity.meter_type or "AMS"))
        out(',"sw_version":"%s"}' % __version__)
        out(',"origin":{"name":"OpenAMS","sw_version":"%s"}}' % __version__)


def quoted(text):
    """A text as JSON has it."""
    out = '"'
    for sign in text:
        if sign in '"\\':
            out += "\\" + sign
        elif sign < " ":
            out += "\\u%04x" % ord(sign)
        else:
            out += sign
    return out + '"'


def _is_there(row, system):
    if row[6] not in (_VOLTAGE, _CURRENT):
        return True
    if system == "1P2W":
        return row[7] == 0
    # On three wires nobody measures the current of L2.
    return system != "3P3W" or row[6] == _VOLTAGE or row[7] != 1
