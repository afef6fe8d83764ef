"""Elhub's own schema and client, from PyPI `elhub-python-sdk` (GPL: for tests only)."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lxml import etree

from openams.headend.elhub.safexml import local

_FILES = {
    "CollectedData": "metering/CollectedData.xsd",
    "RequestCollectedData": "metering/RequestCollectedData.xsd",
    "Acknowledgement": "Acknowledgement.xsd",
    "PollForData": "PollForData.xsd",
}


def folder() -> Path:
    return Path(find_spec("elhub_sdk").origin).parent / "wsdl" / "prod" / "2.3"


@cache
def _schema(name: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(folder() / "bim" / _FILES[name]))


def faults(element) -> list[str]:
    """What Elhub's schema says against a message: nothing, if it is good."""
    schema = _schema(local(element))
    # Parsed anew: what is judged is what goes over the line.
    schema.validate(etree.fromstring(etree.tostring(element)))
    return [error.message for error in schema.error_log]


@cache
def _service(namespace: str) -> etree.XMLSchema:
    name = {
        "urn:no:elhub:emif:wsdl:meteringvalues:v2": "MeteringValues.xsd",
        "urn:no:elhub:emif:wsdl:polling:meteringvalues:v2": "PollMeteringValues.xsd",
        "urn:no:elhub:emif:wsdl:common:v2": "common.xsd",
    }[namespace]
    return etree.XMLSchema(etree.parse(folder() / "wsdl" / "xsd" / name))


def body_faults(element) -> list[str]:
    """What the schema of Elhub's services says against the content of a SOAP body."""
    schema = _service(etree.QName(element).namespace)
    schema.validate(etree.fromstring(etree.tostring(element)))
    return [error.message for error in schema.error_log]
