"""Signed SOAP: judged by xmlsec through Elhub's client in PyPI, and what is not to be believed."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from elhub_sdk.client import BinarySignatureTimestamp
from elhubmessages import one_of_each
from lxml import etree
from zeep.exceptions import SignatureVerificationFailed
from zeep.wsse.signature import MemorySignature

from openams.headend.elhub import codec, safexml, soap
from openams.headend.elhub.model import ElhubError, Fault

NOW = datetime.now(UTC)


@cache
def _identity(name):
    return soap.make_identity(name, NOW)


def identity(name="company", suite="sha1"):
    return replace(_identity(name), suite=suite)


def signed(suite="sha1", with_certificate=True):
    root = soap.envelope(codec.encode(one_of_each()[0]))
    soap.sign(root, identity(suite=suite), NOW, with_certificate)
    return safexml.parse(safexml.octets_of(root))


@pytest.mark.parametrize("suite", ("sha1", "sha256"))
@pytest.mark.parametrize("with_certificate", (True, False))
def test_xmlsec_believes_what_is_signed_here(suite, with_certificate):
    root = signed(suite, with_certificate)
    judge = MemorySignature(identity(suite=suite).pem(), _pem(identity(suite=suite)))
    judge.verify(root)
    root.find(".//{*}Metered").text = "9.999"
    with pytest.raises(SignatureVerificationFailed):
        judge.verify(root)


def test_what_elhubs_client_signs_is_believed_here(tmp_path):
    who = identity()
    (tmp_path / "key.pem").write_bytes(who.pem())
    (tmp_path / "cert.pem").write_bytes(_pem(who))
    root = soap.envelope(codec.encode(one_of_each()[0]))
    client = BinarySignatureTimestamp(str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"))
    client.apply(root, {})
    root = safexml.parse(safexml.octets_of(root))
    assert soap.verify(root, [who.certificate], datetime.now(UTC)) == who.certificate


@pytest.mark.parametrize("suite", ("sha1", "sha256"))
@pytest.mark.parametrize("with_certificate", (True, False))
def test_a_good_signature_names_its_certificate(suite, with_certificate):
    known = [identity("other").certificate, identity(suite=suite).certificate]
    assert soap.verify(signed(suite, with_certificate), known, NOW) == known[1]


def _pem(who):
    return who.pem()[who.pem().index(b"-----BEGIN CERTIFICATE") :]


def _changed(root):
    root.find(".//{*}Metered").text = "9.999"


def _unsigned(root):
    root.remove(root.find("{*}Header"))


def _another_body(root):
    """Signature wrapping: the signed body is put aside, and another stands in its place."""
    body = root.find(f"{{{soap.ENV}}}Body")
    other = deepcopy(body)
    other.find(".//{*}Metered").text = "9.999"
    del other.attrib[f"{{{soap.WSU}}}Id"]
    root.replace(body, other)
    etree.SubElement(root.find("{*}Header"), "Kept").append(body)


def _same_id(root):
    _another_body(root)
    kept = root.find(".//Kept")[0]
    found = root.find(f"{{{soap.ENV}}}Body")
    found.set(f"{{{soap.WSU}}}Id", kept.get(f"{{{soap.WSU}}}Id"))


def _two_bodies(root):
    root.append(deepcopy(root.find(f"{{{soap.ENV}}}Body")))


def _body_not_referred(root):
    references = root.findall(".//{*}Reference[@URI]")
    info = root.find(".//{*}SignedInfo")
    info.remove(next(one for one in references[::-1] if one.getparent() is info))


def _transform(root):
    found = root.find(".//{*}Transform")
    found.set("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")


def _method(root):
    found = root.find(".//{*}SignatureMethod")
    found.set("Algorithm", "http://www.w3.org/2000/09/xmldsig#hmac-sha1")


def _no_base64(root):
    root.find(".//{*}SignatureValue").text = "%%%"


def _no_signature(root):
    found = root.find(".//{*}Signature")
    found.getparent().remove(found)


def _two_signatures(root):
    found = root.find(".//{*}Signature")
    found.getparent().append(deepcopy(found))


@pytest.mark.parametrize(
    "spoil",
    (
        _changed, _unsigned, _another_body, _same_id, _two_bodies, _body_not_referred, _transform,
        _method, _no_base64, _no_signature, _two_signatures,
    ),
)  # fmt: skip
def test_what_is_not_signed_as_it_stands_is_not_believed(spoil):
    root = signed()
    soap.verify(root, [identity().certificate], NOW)
    spoil(root)
    with pytest.raises(ElhubError):
        soap.verify(root, [identity().certificate], NOW)


def test_a_signature_of_somebody_else_is_not_believed():
    for with_certificate, says in ((True, "not known here"), (False, "the signature is wrong")):
        with pytest.raises(ElhubError, match=says):
            root = signed(with_certificate=with_certificate)
            soap.verify(root, [identity("other").certificate], NOW)


@pytest.mark.parametrize(
    ("off", "says"), ((timedelta(minutes=11), "too old"), (-timedelta(minutes=6), "time to come"))
)
def test_a_signature_of_another_time_is_not_believed(off, says):
    with pytest.raises(ElhubError, match=says):
        soap.verify(signed(), [identity().certificate], NOW + off)


def test_a_certificate_has_its_time():
    with pytest.raises(ElhubError, match="out of date"):
        soap.verify(signed(), [identity().certificate], NOW + timedelta(days=4000))


def test_faults_are_read_as_they_are_written():
    fault = Fault("UUID", "the message is known", "once is enough")
    root = soap.envelope(soap.fault_of(fault, NOW))
    assert soap.read_fault(soap.content_of(safexml.parse(safexml.octets_of(root)))) == fault


@pytest.mark.parametrize("octets", (b"no key", b"-----BEGIN CERTIFICATE-----\nAA\n-----END"))
def test_a_file_without_a_key_says_so(octets):
    with pytest.raises(ElhubError, match="private key and its certificate"):
        soap.Identity.from_pem(octets)
