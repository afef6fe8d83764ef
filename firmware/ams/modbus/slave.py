"""A Modbus slave: requests in, answers out; it can be read and nothing else.

MODBUS Application Protocol V1.1b3: functions 3 (6.3) and 4 (6.4) and the exceptions of 7.
"""

from micropython import const

from ams.modbus.served_maps import READ_HOLDING, READ_INPUT

ILLEGAL_FUNCTION = const(1)
ILLEGAL_ADDRESS = const(2)
ILLEGAL_VALUE = const(3)
DEVICE_FAILURE = const(4)
# A unit that is everybody: who only reads has nothing to say to that.
BROADCAST = const(0)
_REGISTERS_MOST = const(125)
# Function, address, quantity.
READ_SIZE = const(5)
# Where the answer's function stands in `frame`: a TCP header fits before it, and one octet of
# unit for RTU; behind the longest answer there is room for the CRC.
PDU = const(7)
FRAME_SIZE = const(PDU + 2 + 2 * 125 + 2)


class Slave:
    """`maps`: {unit: map}. An answer stands in `frame` from PDU on until the next request."""

    def __init__(self, maps, failed):
        self._maps = maps
        self._failed = failed  # called with an error of our own
        self.frame = bytearray(FRAME_SIZE)
        self.answered = 0  # since power-up

    def has(self, unit):
        return unit in self._maps

    def serve(self, unit, request, at, size):
        """Answers the PDU request[at:at + size] for a unit that there is; the answer's size."""
        out = self.frame
        function = request[at]
        out[PDU] = function
        code = 0
        if function != READ_HOLDING and function != READ_INPUT:
            code = ILLEGAL_FUNCTION
        elif size != READ_SIZE:
            code = ILLEGAL_VALUE
        else:
            first = request[at + 1] << 8 | request[at + 2]
            count = request[at + 3] << 8 | request[at + 4]
            code = self._read(unit, function, first, count)
        self.answered += 1
        if code:
            out[PDU] = function | 0x80
            out[PDU + 1] = code
            return 2
        return 2 + out[PDU + 1]

    def _read(self, unit, function, first, count):
        registers = self._maps[unit]
        if not 1 <= count <= _REGISTERS_MOST:
            return ILLEGAL_VALUE
        if not registers.covers(function, first, first + count):
            return ILLEGAL_ADDRESS
        self.frame[PDU + 1] = 2 * count
        try:
            # In one go: no window ends between two registers of an answer.
            registers.fill(function, first, count, self.frame, PDU + 2)
        except Exception as error:
            self._failed(error)
            return DEVICE_FAILURE
        return 0
