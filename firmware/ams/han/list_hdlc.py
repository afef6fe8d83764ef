"""HDLC frame type 3 around one notification (IEC 62056-46, clause 6.4)."""

from ams.crypto.octets import crc16


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
