"""Opens encrypted lists (general-glo-ciphering), with the package `cryptography`."""

from __future__ import annotations

from dataclasses import dataclass

from openams.han.axdr import Reader
from openams.han.errors import HanError

_TAG_SIZE = 12


@dataclass(frozen=True)
class Keys:
    """Encryption and authentication key, 16 octets each."""

    encryption: bytes
    authentication: bytes


@dataclass(frozen=True)
class Sealed:
    """What a DB APDU held, and how: who sealed it, by what count, with which of the keys.

    `long`: its length takes three octets, however short it is.
    """

    plain: bytes
    title: bytes
    counter: int
    control: int
    long: bool
    keys: Keys


def opened(apdu: bytes, keys: list[Keys]) -> Sealed:
    """The APDU inside a DB APDU, by the first key that fits. Raises HanError."""
    reader = Reader(apdu)
    reader.octet()
    title = reader.take(reader.length())
    long = reader.rest[:1] == b"\x82"
    content = reader.take(reader.length())
    if reader.rest:
        raise HanError(f"{len(reader.rest)} octets follow the encrypted list")
    if not keys:
        raise HanError("the list is encrypted: give its keys with --keys")
    if len(content) < 5:
        raise HanError("the encrypted list is empty")
    control, counter, body = content[0], content[1:5], content[5:]
    for pair in keys:
        plain = _try(pair, control, title + counter, body)
        if plain is not None:
            count = int.from_bytes(counter, "big")
            return Sealed(plain, title, count, control, long, pair)
    raise HanError("the list is encrypted with another key, or was changed on the way")


def _try(keys: Keys, control: int, iv: bytes, body: bytes) -> bytes | None:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    if control & 0xF0 == 0x20:
        # Encrypted but not authenticated: counter mode from block 2 on.
        start = iv + b"\x00\x00\x00\x02"
        decryptor = Cipher(algorithms.AES(keys.encryption), modes.CTR(start)).decryptor()
        plain = decryptor.update(body) + decryptor.finalize()
        return plain if plain[:1] == b"\x0f" else None
    if control & 0xF0 != 0x30 or len(body) < _TAG_SIZE:
        raise HanError(f"security control 0x{control:02x} is not known here")
    return unseal(keys.encryption, iv, bytes([control]) + keys.authentication, body)


def unseal(key: bytes, iv: bytes, aad: bytes, body: bytes) -> bytes | None:
    """What stands in `body` before its tag of 96 bits; None when the tag does not fit."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    mode = modes.GCM(iv, body[-_TAG_SIZE:], min_tag_length=_TAG_SIZE)
    decryptor = Cipher(algorithms.AES(key), mode).decryptor()
    decryptor.authenticate_additional_data(aad)
    try:
        return decryptor.update(body[:-_TAG_SIZE]) + decryptor.finalize()
    except InvalidTag:
        return None
