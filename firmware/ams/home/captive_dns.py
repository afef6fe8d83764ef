"""Every name is the meter: DNS for whoever joined its set-up network (RFC 1035), so that a phone
shows the page by itself. Octets in, octets out."""

from micropython import const

_HEAD = const(12)
_LONGEST = const(512)  # over UDP
_ANSWER = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04"  # the name asked; A, IN, not kept
_A = b"\x00\x01\x00\x01"


def answer(query, address):
    """Octets that answer a query, or None: it is none. Other than A of the Internet: no data."""
    length = len(query)
    # A standard query of one question.
    if not _HEAD < length <= _LONGEST or query[2] & 0xF8 or query[4:6] != b"\x00\x01":
        return None
    at = _HEAD
    while at < length and query[at]:
        if query[at] > 63:
            return None
        at += query[at] + 1
    end = at + 5
    if end > length:
        return None
    is_address = query[at + 1 : end] == _A
    head = bytes(query[:2]) + b"\x84\x00\x00\x01\x00" + (b"\x01" if is_address else b"\x00")
    out = head + b"\x00\x00\x00\x00" + bytes(query[_HEAD:end])
    if is_address:
        out += _ANSWER + bytes([int(part) for part in address.split(".")])
    return out
