"""One HTTP request at a time, as a browser sends it (RFC 9112), in a buffer made once: its method,
its path, its form. What is longer, or no request, ends in a status."""

from micropython import const

# A certificate in a form is 2 KiB, its field escaped; a head of a phone's browser is 1 KiB.
SIZE = const(5120)
_HEAD_MOST = const(2048)
_HEX = b"0123456789abcdef"


class Status(Exception):
    """The answer that ends it: `code` of HTTP."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Request:
    def __init__(self):
        self._buffer = bytearray(SIZE)
        self._view = memoryview(self._buffer)
        self.clear()

    def clear(self):
        for at in range(getattr(self, "_length", 0)):
            self._buffer[at] = 0  # there are passwords in it
        self._length = 0
        self._body = 0  # where it begins, 0: not yet known
        self._end = 0
        self.method = self.path = b""

    def room(self):
        """Where octets that come go; `took` says how many."""
        return self._view[self._length :]

    def took(self, count):
        """Whether the request is whole. Raises Status."""
        self._length += count
        if not self._body:
            self._look_for_head()
        if not self._body:
            if self._length > _HEAD_MOST:
                raise Status(431)
            return False
        return self._length >= self._end

    def _look_for_head(self):
        at = bytes(self._view[: min(self._length, _HEAD_MOST)]).find(b"\r\n\r\n")
        if at < 0:
            return
        lines = bytes(self._view[:at]).split(b"\r\n")
        words = lines[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or words[1][:1] != b"/":
            raise Status(400)
        self.method, self.path = words[0], words[1]
        length = 0
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"content-length":
                value = value.strip()
                if not value.isdigit() or len(value) > 6 or length:
                    raise Status(400)
                length = int(value)
            elif name == b"transfer-encoding":
                raise Status(411)
        self._body = at + 4
        self._end = self._body + length
        if self._end > SIZE:
            raise Status(413)

    def form(self):
        """{name: text} of its body. Raises Status."""
        out = {}
        for pair in bytes(self._view[self._body : self._end]).split(b"&"):
            name, _, value = pair.partition(b"=")
            out[text(name)] = text(value)
        return out


def text(octets):
    """Of an escaped field (application/x-www-form-urlencoded). Raises Status."""
    out = bytearray()
    at = 0
    while at < len(octets):
        octet = octets[at]
        at += 1
        if octet == 0x2B:
            octet = 0x20
        elif octet == 0x25:
            digits = octets[at : at + 2].lower()
            if len(digits) != 2 or digits[:1] not in _HEX or digits[1:] not in _HEX:
                raise Status(400)
            octet = int(digits, 16)
            at += 2
        out.append(octet)
    try:
        return bytes(out).decode()
    except UnicodeError:
        raise Status(400)
