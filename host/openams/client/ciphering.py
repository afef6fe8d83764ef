"""Ciphering of a client's messages: suite 0, always authenticated and encrypted (IEC 62056-5-3).

    general-glo-ciphering   DB | 08 system title | length | 30 counter | ciphertext | tag
    in AARQ and AARE        21, 28 | length | 30 counter | ciphertext | tag

A number serves once with a key: those of the client come from `take`, that of a proof is none
of a request; those of the meter must grow as long as an association lives.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openams.client import data as axdr
from openams.client.errors import ClientError
from openams.han.cipher import Keys, unseal

GENERAL = 0xDB
_INITIATE_REQUEST, _INITIATE_RESPONSE = b"\x21", 0x28
_SEALED, _AUTHENTICATED = b"\x30", b"\x10"
_TAG_SIZE = 12
_PROOF_SIZE = 17
# The most that ciphering adds to a request.
OVERHEAD = 30


class Cipher:
    """Between the client `title` and the meter of the system title `meter`, for one association.

    `take` hands out a number that the client has never used with these keys.
    """

    def __init__(self, title: bytes, keys: Keys, meter: bytes, take: Callable[[], int]) -> None:
        self.title = title
        self.meter = meter
        self._keys = keys
        self._take = take
        self._gcm = AESGCM(keys.encryption)
        self.received = 0  # the meter's newest number

    def seal(self, apdu: bytes) -> bytes:
        return bytes((GENERAL, len(self.title))) + self.title + self._sealed(apdu)

    def seal_initiate(self, request: bytes) -> bytes:
        return _INITIATE_REQUEST + self._sealed(request)

    def _sealed(self, plain: bytes) -> bytes:
        counter = self._take().to_bytes(4, "big")
        aad = _SEALED + self._keys.authentication
        # This one writes tags of 16 octets: the standard's are cut.
        sealed = self._gcm.encrypt(self.title + counter, plain, aad)[: len(plain) + _TAG_SIZE]
        return axdr.length(len(sealed) + 5) + _SEALED + counter + sealed

    def open(self, apdu: bytes) -> bytes:
        """The answer inside. Raises ClientError for one that this meter did not just make."""
        reader = axdr.Reader(apdu)
        if reader.octet() != GENERAL:
            raise ClientError("the meter's answer came in clear: it is none")
        if reader.take(reader.length()) not in (self.meter, b""):
            raise ClientError("the meter's answer is that of another meter")
        return self._opened(reader)

    def open_initiate(self, response: bytes) -> bytes:
        reader = axdr.Reader(response)
        if not response or reader.octet() != _INITIATE_RESPONSE:
            raise ClientError("the meter opens the association in clear: it is not this meter")
        return self._opened(reader)

    def _opened(self, reader: axdr.Reader) -> bytes:
        content = axdr.Reader(reader.take(reader.length()))
        reader.end()
        control, counter, body = content.take(1), content.take(4), content.rest
        if control != _SEALED or len(body) < _TAG_SIZE:
            raise ClientError("the meter's answer is not authenticated and encrypted: it is none")
        number = int.from_bytes(counter, "big")
        if number <= self.received:
            raise ClientError("the meter's answer is an old one: its counter does not grow")
        aad = _SEALED + self._keys.authentication
        plain = unseal(self._keys.encryption, self.meter + counter, aad, body)
        if plain is None:
            raise ClientError("the meter's answer is not sealed with its key")
        self.received = number
        return plain

    # --- mechanism 5 ---------------------------------------------------------------------

    def proof(self, challenge: bytes) -> bytes:
        """What shows the meter that we have the keys."""
        return self._proof(self.title, self._take().to_bytes(4, "big"), challenge)

    def is_proof(self, proof: bytes, challenge: bytes) -> bool:
        """Whether the meter has shown that it has them."""
        if len(proof) != _PROOF_SIZE:
            return False
        return hmac.compare_digest(proof, self._proof(self.meter, proof[1:5], challenge))

    def _proof(self, title: bytes, counter: bytes, challenge: bytes) -> bytes:
        aad = _AUTHENTICATED + self._keys.authentication + challenge
        return _AUTHENTICATED + counter + self._gcm.encrypt(title + counter, b"", aad)[:_TAG_SIZE]
