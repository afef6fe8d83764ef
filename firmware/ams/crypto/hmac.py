"""HMAC-SHA-256 (RFC 2104), whole: 32 octets."""

import hashlib


def _sha256(*parts):
    h = hashlib.sha256()
    for part in parts:
        h.update(part)
    return h.digest()


def hmac_sha256(key, *parts):
    if len(key) > 64:
        key = _sha256(key)
    block = key + bytes(64 - len(key))
    inner = _sha256(bytes(octet ^ 0x36 for octet in block), *parts)
    return _sha256(bytes(octet ^ 0x5C for octet in block), inner)
