"""SOAP 1.1 as Elhub speaks it: the message in the body, signed with an X.509 certificate.

What is signed and how stands in Elhub's WSDL (WS-SecurityPolicy, suite Basic256): body and
timestamp, exclusive canonical XML, RSA with SHA-1; the sender's certificate goes with it. SHA-256
is written if it is asked for, and read always. Signatures are of whoever is known: there is no
chain of trust here, certificates are compared (OASIS WSS 1.0, X.509 token profile; XMLDSig).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1, sha256
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from openams.headend.elhub.model import ElhubError, Fault
from openams.headend.elhub.safexml import local, understood
from openams.headend.elhub.shape import time_of

ENV = "http://schemas.xmlsoap.org/soap/envelope/"
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE = _WSS + "wssecurity-secext-1.0.xsd"
WSU = _WSS + "wssecurity-utility-1.0.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
COMMON = "urn:no:elhub:emif:wsdl:common:v2"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_X509 = _WSS + "x509-token-profile-1.0#X509v3"
_BASE64 = _WSS + "soap-message-security-1.0#Base64Binary"
_DIGESTS = {DS + "sha1": sha1, "http://www.w3.org/2001/04/xmlenc#sha256": sha256}
_METHODS: dict[str, hashes.HashAlgorithm] = {
    DS + "rsa-sha1": hashes.SHA1(),
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": hashes.SHA256(),
}
SUITES = {
    "sha1": (DS + "rsa-sha1", DS + "sha1"),
    "sha256": tuple(list(found)[1] for found in (_METHODS, _DIGESTS)),
}
# How long a message is good, and how far two clocks may be apart.
_GOOD_FOR = timedelta(minutes=5)
_APART = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key and its certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    suite: str = "sha1"

    @staticmethod
    def from_pem(octets: bytes, suite: str = "sha1") -> Identity:
        """Of a PEM file that has both."""
        try:
            key = serialization.load_pem_private_key(octets, None)
            certificate = x509.load_pem_x509_certificate(octets)
        except (ValueError, TypeError):
            raise ElhubError(
                "the file has to hold a private key and its certificate, PEM"
            ) from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ElhubError("the key has to be RSA: Elhub's signatures are")
        if key.public_key() != certificate.public_key():
            raise ElhubError("the certificate is not the key's")
        return Identity(key, certificate, suite)

    def pem(self) -> bytes:
        form, private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key = self.key.private_bytes(serialization.Encoding.PEM, form, private)
        return key + self.certificate_pem()

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def make_identity(name: str, now: datetime, days: int = 3650, suite: str = "sha1") -> Identity:
    """A new key with a certificate signed by itself: for a stand-in and for tests."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return Identity(key, certificate, suite)


# --- envelopes ---------------------------------------------------------------------------


def envelope(content: Any | None) -> Any:
    """An envelope around one element; None: an empty body."""
    root = etree.Element(f"{{{ENV}}}Envelope", nsmap={"soap": ENV})
    etree.SubElement(root, f"{{{ENV}}}Header")
    body = etree.SubElement(root, f"{{{ENV}}}Body")
    if content is not None:
        body.append(content)
    return root


def fault_of(fault: Fault, now: datetime) -> Any:
    """Elhub's fault (ElhubSOAPFault) as content of a body."""
    root = etree.Element(f"{{{ENV}}}Fault", nsmap={"soap": ENV, "cmn": COMMON})
    etree.SubElement(root, "faultcode").text = "soap:Client"
    etree.SubElement(root, "faultstring").text = fault.description
    detail = etree.SubElement(etree.SubElement(root, "detail"), f"{{{COMMON}}}ElhubSOAPFault")
    texts = (
        ("CodeGroup", fault.group),
        ("Description", fault.description[:100]),
        ("ExceptionDateTime", now.astimezone(UTC).isoformat()),
        ("FaultText", fault.text[:1000]),
    )
    for name, text in texts:
        if text:
            etree.SubElement(detail, f"{{{COMMON}}}{name}").text = text
    return root


def content_of(root: Any) -> Any | None:
    """What the body of an envelope holds; None: nothing."""
    body = _body(root)
    if len(body) > 1:
        raise ElhubError("the body of the envelope holds more than one element")
    return body[0] if len(body) else None


def read_fault(content: Any) -> Fault | None:
    """The fault in a body, if it is one."""
    if content is None or content.tag != f"{{{ENV}}}Fault":
        return None
    # A foreign fault (a gateway's, say) has no detail of Elhub's.
    found = content.find(f".//{{{COMMON}}}ElhubSOAPFault")
    if found is None:
        words = _words(content.findtext("faultstring"), 200)
        return Fault("Other", words or "a fault without a reason")
    return Fault(*(
        _words(found.findtext(f"{{{COMMON}}}{name}"), most)
        for name, most in (("CodeGroup", 40), ("Description", 200), ("FaultText", 1000))
    ))  # fmt: skip


def _words(text: str | None, most: int) -> str:
    """What others say, as a line that may be shown and kept."""
    return "".join(sign if sign.isprintable() else " " for sign in (text or "")[:most])


def _body(root: Any) -> Any:
    bodies = root.findall(f"{{{ENV}}}Body") if root.tag == f"{{{ENV}}}Envelope" else []
    if len(bodies) != 1:
        raise ElhubError("no SOAP envelope with one body")
    return bodies[0]


# --- signing -----------------------------------------------------------------------------


def sign(root: Any, who: Identity, now: datetime, with_certificate: bool = True) -> Any:
    """Puts the security header into an envelope; the same envelope."""
    header = root.find(f"{{{ENV}}}Header")
    method, digest = SUITES[who.suite]
    nsmap = {"wsse": WSSE, "wsu": WSU}
    security = etree.SubElement(header, f"{{{WSSE}}}Security", nsmap=nsmap)
    security.set(f"{{{ENV}}}mustUnderstand", "1")
    token_id = "X509-" + secrets.token_hex(8)
    if with_certificate:
        token = etree.SubElement(security, f"{{{WSSE}}}BinarySecurityToken")
        token.set("EncodingType", _BASE64)
        token.set("ValueType", _X509)
        token.set(f"{{{WSU}}}Id", token_id)
        token.text = _base64(who.certificate.public_bytes(serialization.Encoding.DER))
    stamp = etree.SubElement(security, f"{{{WSU}}}Timestamp")
    for name, at in (("Created", now), ("Expires", now + _GOOD_FOR)):
        text = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        etree.SubElement(stamp, f"{{{WSU}}}{name}").text = text
    signature = etree.SubElement(security, f"{{{DS}}}Signature", nsmap={"ds": DS})
    info = etree.SubElement(signature, f"{{{DS}}}SignedInfo")
    etree.SubElement(info, f"{{{DS}}}CanonicalizationMethod", Algorithm=_EXCLUSIVE)
    etree.SubElement(info, f"{{{DS}}}SignatureMethod", Algorithm=method)
    for part in (stamp, _body(root)):
        _refer(info, part, digest)
    value = who.key.sign(_canonical(info), padding.PKCS1v15(), _METHODS[method])
    etree.SubElement(signature, f"{{{DS}}}SignatureValue").text = _base64(value)
    if with_certificate:
        key_info = etree.SubElement(signature, f"{{{DS}}}KeyInfo")
        reference = etree.SubElement(key_info, f"{{{WSSE}}}SecurityTokenReference")
        etree.SubElement(reference, f"{{{WSSE}}}Reference", URI="#" + token_id, ValueType=_X509)
    return root


def _refer(info: Any, part: Any, digest: str) -> None:
    part_id = "id-" + secrets.token_hex(8)
    part.set(f"{{{WSU}}}Id", part_id)
    reference = etree.SubElement(info, f"{{{DS}}}Reference", URI="#" + part_id)
    transforms = etree.SubElement(reference, f"{{{DS}}}Transforms")
    etree.SubElement(transforms, f"{{{DS}}}Transform", Algorithm=_EXCLUSIVE)
    etree.SubElement(reference, f"{{{DS}}}DigestMethod", Algorithm=digest)
    value = _base64(_DIGESTS[digest](_canonical(part)).digest())
    etree.SubElement(reference, f"{{{DS}}}DigestValue").text = value


def _canonical(element: Any, prefixes: Sequence[str] = ()) -> bytes:
    out: bytes = etree.tostring(
        element,
        method="c14n",
        exclusive=True,
        with_comments=False,
        with_tail=False,
        inclusive_ns_prefixes=list(prefixes) or None,
    )
    return out


# --- checking ----------------------------------------------------------------------------


@understood("the signature")
def verify(root: Any, known: Sequence[x509.Certificate], now: datetime) -> x509.Certificate:
    """Whose signature an envelope has. ElhubError unless body and time are signed by one known.

    What is signed has to be the body that is read: the one child of the envelope, named by an id
    that no other element has. Nothing but canonical XML may stand between it and its digest.
    """
    security = _only(root, f"{{{ENV}}}Header/{{{WSSE}}}Security", "security header")
    signature = _only(security, f"{{{DS}}}Signature", "signature")
    info = _only(signature, f"{{{DS}}}SignedInfo", "SignedInfo")
    certificate = _signer(security, signature, info, known)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ElhubError("the certificate of the signature is out of date")
    by_id: dict[str, list[Any]] = {}
    for element in root.iter():
        for name in (f"{{{WSU}}}Id", "Id", "ID", "id"):
            if (found := element.get(name)) is not None:
                by_id.setdefault(found, []).append(element)
    signed = [_referred(one, by_id) for one in info.findall(f"{{{DS}}}Reference")]
    stamp = _only(security, f"{{{WSU}}}Timestamp", "timestamp")
    for part in (_body(root), stamp):
        if not any(one is part for one in signed):
            raise ElhubError(f"the {local(part)} of the envelope is not signed")
    _check_time(stamp, now)
    return certificate


def _signer(
    security: Any, signature: Any, info: Any, known: Sequence[x509.Certificate]
) -> x509.Certificate:
    canonical, prefixes = _algorithm(info, "CanonicalizationMethod")
    method, _ = _algorithm(info, "SignatureMethod")
    if canonical != _EXCLUSIVE or method not in _METHODS:
        raise ElhubError(f"a signature by {method} is not taken")
    value = _unbase64(signature.findtext(f"{{{DS}}}SignatureValue"))
    candidates = list(known)
    if (token := security.find(f"{{{WSSE}}}BinarySecurityToken")) is not None:
        octets = _unbase64(token.text)
        candidates = [
            one for one in known if one.public_bytes(serialization.Encoding.DER) == octets
        ]
        if not candidates:
            raise ElhubError("the certificate of the signature is not known here")
    for candidate in candidates:
        key = candidate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            continue
        try:
            key.verify(value, _canonical(info, prefixes), padding.PKCS1v15(), _METHODS[method])
        except InvalidSignature:
            continue
        return candidate
    raise ElhubError("the signature is wrong: the message was changed, or is of somebody else")


def _referred(reference: Any, by_id: dict[str, list[Any]]) -> Any:
    """The element that a reference names, whose digest is right."""
    uri = reference.get("URI") or ""
    found = by_id.get(uri[1:], []) if uri.startswith("#") else []
    if len(found) != 1:
        raise ElhubError("a signature has to refer to one element of the message")
    prefixes: Sequence[str] = ()
    for transform in reference.iterfind(f"{{{DS}}}Transforms/{{{DS}}}Transform"):
        if transform.get("Algorithm") != _EXCLUSIVE:
            raise ElhubError(f"a signature over {transform.get('Algorithm')} is not taken")
        prefixes = _prefixes(transform)
    digest, _ = _algorithm(reference, "DigestMethod")
    if digest not in _DIGESTS:
        raise ElhubError(f"a digest by {digest} is not taken")
    value = _unbase64(reference.findtext(f"{{{DS}}}DigestValue"))
    if not hmac.compare_digest(_DIGESTS[digest](_canonical(found[0], prefixes)).digest(), value):
        raise ElhubError(f"the {local(found[0])} is not what was signed")
    return found[0]


def _algorithm(parent: Any, name: str) -> tuple[str, Sequence[str]]:
    element = _only(parent, f"{{{DS}}}{name}", name)
    return element.get("Algorithm") or "nothing", _prefixes(element)


def _prefixes(element: Any) -> Sequence[str]:
    found = element.find(f"{{{_EXCLUSIVE}}}InclusiveNamespaces")
    return () if found is None else tuple((found.get("PrefixList") or "").split())


def _only(parent: Any, path: str, name: str) -> Any:
    found = parent.findall(path)
    if len(found) != 1:
        raise ElhubError(f"the message has {len(found) or 'no'} {name}")
    return found[0]


def _check_time(stamp: Any, now: datetime) -> None:
    created = time_of(_only(stamp, f"{{{WSU}}}Created", "Created"), digits=9)
    if created > now + _APART:
        raise ElhubError("the message is of a time to come: one of the two clocks is wrong")
    expires = stamp.find(f"{{{WSU}}}Expires")
    until = created + _GOOD_FOR if expires is None else _end_of(expires)
    if now > until + _APART:
        raise ElhubError("the message is too old: it was kept, or one of the two clocks is wrong")


def _end_of(expires: Any) -> datetime:
    """One that is good for ever has the year 9999: it is good for longer than anybody waits."""
    if (expires.text or "").startswith("9999-"):
        return datetime(9000, 1, 1, tzinfo=UTC)
    return time_of(expires, digits=9)


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _unbase64(text: str | None) -> bytes:
    try:
        return base64.b64decode("".join((text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise ElhubError("the signature is not written in base 64") from None
