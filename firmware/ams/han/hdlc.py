"""HDLC frame type 3 around one notification (IEC 62056-46, clause 6.4)."""

from array import array

# CRC-16/X.25, reflected, by nibble: a table of 32 octets is fast enough at 2400 baud.
_NIBBLES = array(
    "H",
    (
        0x0000, 0x1081, 0x2102, 0x3183, 0x4204, 0x5285, 0x6306, 0x7387,
        0x8408, 0x9489, 0xA50A, 0xB58B, 0xC60C, 0xD68D, 0xE70E, 0xF78F,
    ),
)  # fmt: skip


def crc16(data, start, end):
    """CRC-16/X.25 of data[start:end]; sent low octet first."""
    crc = 0xFFFF
    table = _NIBBLES
    for at in range(start, end):
        crc ^= data[at]
        crc = (crc >> 4) ^ table[crc & 15]
        crc = (crc >> 4) ^ table[crc & 15]
    return crc ^ 0xFFFF


def begin(writer, address):
    """Flag, room for format and header check, the LLC of a server's message.

    `address` is destination, source and control octets, as the maker sends.
    """
    writer.at = 0
    writer.octet(0x7E)
    writer.number(0xA000, 2)
    writer.octets(address)
    writer.number(0, 2)
    writer.octets(b"\xe6\xe7\x00")


def end(writer, address):
    """Fills in length and checks; the frame is writer.buffer[:writer.at].

    Raises ValueError when the frame is longer than its length field can say.
    """
    buffer = writer.buffer
    length = writer.at + 1  # with the frame check, without flags
    if length > 0x7FF:
        raise ValueError("frame of %d octets is too long for HDLC" % length)
    buffer[1] = 0xA0 | length >> 8
    buffer[2] = length & 0xFF
    at = 3 + len(address)
    crc = crc16(buffer, 1, at)
    buffer[at] = crc & 0xFF
    buffer[at + 1] = crc >> 8
    crc = crc16(buffer, 1, writer.at)
    writer.octet(crc)
    writer.octet(crc >> 8)
    writer.octet(0x7E)
    return writer.at
