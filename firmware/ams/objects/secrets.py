"""Keys of the meter that open no association: how they are changed, and which of two it has.

Manufacturer specific: 0-0:128.5.E. Written: a new key, wrapped (RFC 3394) by the master key; the
second breaker key by the second breaker key before it, so that who holds one seal never gets
both. Read: octets of an HMAC under the key; empty: there is none. No key is ever read.
"""

from ams.cosem.security_setup import unwrapped
from ams.crypto.gcm import equal
from ams.crypto.hmac import hmac_sha256
from ams.events import events as ev
from ams.objects.view import Data
from ams.results import (
    HARDWARE_FAULT,
    READ_WRITE_DENIED,
    TEMPORARY_FAILURE,
    TYPE_UNMATCHED,
    AccessError,
)

NAMES = ("breaker", "breaker_second", "update", "han")
# Of the events on changed keys, in place of a client; 0x80: those of the HAN port.
_CHANGED = (0x81, 0x82, 0x83)
_CHECK = b"OAKC"
_CHECK_SIZE = 8


class Secret(Data):
    """E: its place in NAMES. Those of the HAN port are written at 0-0:128.1.2."""

    def value(self, out):
        key = self._key()
        link = self.meter.link
        known = key is not None and link is not None
        out.octets(hmac_sha256(key, _CHECK, link.keyring.title)[:_CHECK_SIZE] if known else b"")

    def _key(self):
        name = NAMES[self.ln[4]]
        if name == "han":
            return self.meter.han_settings.keys()
        return self.meter.link.keyring.secret(name) if self.meter.link is not None else None

    def set(self, attribute, data, who):
        wrapped = bytes(data.octets())
        data.end()
        link = self.meter.link
        if link is None or self.session is None:
            raise AccessError(READ_WRITE_DENIED)
        name = NAMES[self.ln[4]]
        under = self._key() if name == "breaker_second" else link.keyring.kek()
        if under is None:
            raise AccessError(TEMPORARY_FAILURE)
        key = unwrapped(link.server, self.session, under, wrapped)
        old = self._key()
        if old is not None and equal(key, old):
            return
        if link.keyring.serves(key, name):
            # Whoever knows what it was for would know what seals.
            raise AccessError(TYPE_UNMATCHED)
        try:
            link.keyring.change_secret(name, key)
            self.meter.secret_changed(name)
        except OSError:
            raise AccessError(HARDWARE_FAULT)
        self.meter.events.log(self.meter.utc_ms, ev.KEYS_CHANGED, _CHANGED[self.ln[4]])
