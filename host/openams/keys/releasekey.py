"""The key that signs releases: ECDSA P-256, one for all meters (docs/update.md)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from openams.errors import BenchError

PrivateKey = ec.EllipticCurvePrivateKey


def new() -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_numbers().private_value.to_bytes(32, "big")
    return {"private": private.hex(), "public": public_octets(key).hex()}


def load(private: str) -> PrivateKey:
    return ec.derive_private_key(int(private, 16), ec.SECP256R1())


def public_octets(key: PrivateKey) -> bytes:
    """The 64 octets that a meter is given of the release key."""
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def public_key(octets: bytes) -> ec.EllipticCurvePublicKey:
    """BenchError unless it is a point of the curve."""
    x, y = octets[:32], octets[32:]
    try:
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1()
        )
        if len(octets) != 64:
            raise ValueError
        return numbers.public_key()
    except ValueError:
        raise BenchError(
            f"{octets.hex()[:16]}... is no release key: give the 128 digits of ams image key"
        ) from None
