"""A connection under TLS that never waits; on CPython and MicroPython. The other end is verified:
there is no way to leave that out.

MicroPython's mbedTLS knows the time, and so an expired certificate, on a PC and on the RP2 boards
alone; that of the ESP32 is built without it (docs/home.md).
"""

import binascii

from ams.hal import NotTrusted
from drivers.tcp import AGAIN, Connection

try:
    import tls
except ImportError:
    import ssl as tls  # type: ignore[no-redef]

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"
# What says on CPython that it would wait: a handshake may have to read before it writes.
_WOULD_WAIT = tuple(
    [getattr(tls, name) for name in ("SSLWantReadError", "SSLWantWriteError") if hasattr(tls, name)]
)
# Of CPython, and of MicroPython.
_NOT_VERIFIED = (getattr(tls, "SSLCertVerificationError", ValueError), ValueError)


def der(certificate):
    """The octets of a certificate in PEM or DER. Raises NotTrusted."""
    if certificate[:1] == b"\x30":
        return certificate
    head, _, rest = certificate.partition(_BEGIN)
    body, end, _ = rest.partition(_END)
    if not body or not end:
        raise NotTrusted("no certificate of an authority")
    try:
        return binascii.a2b_base64(body.replace(b"\r", b"").replace(b"\n", b""))
    except ValueError:
        raise NotTrusted("the certificate of the authority is damaged")


def _said(error):
    return NotTrusted(getattr(error, "verify_message", error))


class TlsConnection(Connection):
    """`name` and `authority` as in hal.Network.dial. The handshake goes on by whatever is read or
    written."""

    def __init__(self, peer, name, authority):
        peer.setblocking(False)
        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        # On MicroPython it is none until it is asked for.
        context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]
        authority = der(authority)
        try:
            if hasattr(context, "check_hostname"):
                context.load_verify_locations(cadata=authority)
            else:
                context.load_verify_locations(authority)
        except (ValueError, OSError):
            raise NotTrusted("the certificate of the authority is damaged")
        self._context = context
        wrapped = context.wrap_socket(peer, server_hostname=name, do_handshake_on_connect=False)
        super().__init__(wrapped)

    def readinto(self, buffer):
        try:
            return self._read(buffer)
        except _WOULD_WAIT:
            return None
        except _NOT_VERIFIED as error:
            raise _said(error)
        except OSError as error:
            return None if error.args[0] in AGAIN else 0

    def write(self, data):
        try:
            return self._send(data) or 0
        except _WOULD_WAIT:
            return 0
        except _NOT_VERIFIED as error:
            raise _said(error)
        except OSError as error:
            if error.args[0] not in AGAIN:
                raise
            return 0
