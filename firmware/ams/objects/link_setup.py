"""IEC local port setup (class 19), HDLC setup (23) and TCP-UDP setup (41): how links are set up.

What is written counts from the next connection on.
"""

import struct

from ams.cosem import mode_e
from ams.cosem.axdr import ENUM, UINT8, UINT16
from ams.objects import readout_setup
from ams.objects.view import View
from ams.results import OTHER_REASON, READ_WRITE_DENIED, AccessError

_IP_SETUP_LN = b"\x00\x00\x19\x01\x00\xff"
_DLMS_PORT = 4059
_CONNECTIONS = 4
_HDLC = ">BBBHHHHH"  # speed, windows, lengths, inter-octet ms, inactivity s, address
_HDLC_DEFAULT = (5, 7, 7, 512, 512, 500, 120, 16)
_HDLC_TAGS = (ENUM, UINT8, UINT8, UINT16, UINT16, UINT16, UINT16, UINT16)
_HDLC_RANGES = (
    (0, 9),
    (1, 7),
    (1, 7),
    (32, 512),
    (32, 512),
    (20, 6000),
    (1, 65535),
    (16, 16381),
)


def hdlc_values(settings):
    """Attributes 2 to 9: lengths in octets, inter-octet time in ms, inactivity in s."""
    value = settings.get(settings.HDLC)
    return list(_HDLC_DEFAULT if value is None else struct.unpack(_HDLC, value))


def port_values(settings, is_uart):
    """Mode at rest and the rate that mode E offers."""
    value = settings.get(settings.LOCAL_PORT)
    if value is None:
        return [mode_e.HDLC if is_uart else mode_e.MODE_E, 5]
    return list(value)


def tcp_inactivity_s(settings):
    value = settings.get(settings.TCP)
    return 120 if value is None else struct.unpack(">H", value)[0]


class HdlcSetup(View):
    class_id = 23
    version = 1
    attributes = 9

    def read(self, attribute, out):
        out.integer(_HDLC_TAGS[attribute - 2], hdlc_values(self.model.settings)[attribute - 2])

    def set(self, attribute, data, who):
        k = attribute - 2
        value = data.integer(_HDLC_TAGS[k])
        data.end()
        least, most = _HDLC_RANGES[k]
        if not least <= value <= most:
            raise AccessError(OTHER_REASON)
        settings = self.model.settings
        values = hdlc_values(settings)
        values[k] = value
        settings.set(settings.HDLC, struct.pack(_HDLC, *values))
        self.model.changed(self.ln, attribute)


class LocalPort(View):
    class_id = 19
    version = 1
    attributes = 9

    def _values(self):
        link = self.meter.link
        return port_values(self.model.settings, link is not None and link.service.line is not None)

    def read(self, attribute, out):
        if attribute == 2:
            out.enum(self._values()[0])
        elif attribute == 3:
            out.enum(0)  # mode E begins at 300 Bd
        elif attribute == 4:
            out.enum(self._values()[1])
        elif attribute == 5:
            out.enum(1)  # 200 ms
        elif attribute == 6:
            out.octets(self.meter.identity.meter_id.encode())
        else:
            out.octets(b"")  # no passwords

    def set(self, attribute, data, who):
        if attribute not in (2, 4):
            raise AccessError(READ_WRITE_DENIED)
        value = data.integer(ENUM)
        data.end()
        if not 0 <= value <= (mode_e.HDLC if attribute == 2 else 9):
            raise AccessError(OTHER_REASON)
        values = self._values()
        values[attribute // 2 - 1] = value
        self.model.settings.set(self.model.settings.LOCAL_PORT, bytes(values))
        self.model.changed(self.ln, attribute)


class TcpSetup(View):
    class_id = 41
    attributes = 6

    def read(self, attribute, out):
        if attribute == 2:
            out.uint16(_DLMS_PORT)
        elif attribute == 3:
            out.octets(_IP_SETUP_LN)
        elif attribute == 4:
            out.uint16(576)
        elif attribute == 5:
            out.uint8(_CONNECTIONS)
        else:
            out.uint16(tcp_inactivity_s(self.model.settings))

    def set(self, attribute, data, who):
        if attribute != 6:
            raise AccessError(READ_WRITE_DENIED)
        seconds = data.integer(UINT16)
        data.end()
        if not 10 <= seconds:
            raise AccessError(OTHER_REASON)
        settings = self.model.settings
        settings.set(settings.TCP, struct.pack(">H", seconds))
        self.model.changed(self.ln, attribute)


def apply(model, link):
    """Sets the links up as the operator wants them."""
    values = hdlc_values(model.settings)
    hdlc = link.hdlc
    mode, offered_code = port_values(model.settings, link.service.line is not None)
    link.service.set_up(mode, values[0], offered_code)
    parameters = hdlc.parameters
    parameters.max_window_tx, parameters.max_window_rx = values[1:3]
    parameters.max_info_tx = min(values[3], parameters.room)
    parameters.max_info_rx = min(values[4], parameters.room)
    hdlc.inter_octet_ms = values[5]
    hdlc.inactivity_ms = values[6] * 1000
    hdlc.physical = values[7]
    link.set_tcp_inactivity(tcp_inactivity_s(model.settings))
    readout_setup.apply(model, link)
