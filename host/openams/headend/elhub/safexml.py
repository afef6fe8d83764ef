"""XML of strangers: parsed without entities, without a document type, without the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lxml import etree

from openams.headend.elhub.model import ElhubError

# 9 999 series of a day of quarters are about 100 MB.
MOST_OCTETS = 256 << 20


def parse(octets: bytes, most: int = MOST_OCTETS) -> Any:
    """The root element. ElhubError for what is no XML, is too long, or brings a document type.

    A document type may carry entities that grow without end or fetch files, and none of Elhub's
    messages has one. Only UTF-8 is read, whatever the document calls itself: in another encoding
    the document type could hide.
    """
    if len(octets) > most:
        raise ElhubError(f"a message of {len(octets)} octets: more than {most} are not read")
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        raise ElhubError("the message is not UTF-8") from None
    if b"<!DOCTYPE" in octets or b"<!ENTITY" in octets:
        raise ElhubError("the message has a document type: Elhub's have none, it is not read")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
        huge_tree=False,
    )
    try:
        return etree.fromstring(octets, parser)
    except etree.XMLSyntaxError as error:
        raise ElhubError(f"no XML: {error.msg or 'it is empty'}") from None


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Where strangers' XML is made sense of: what is of no form that is known is their error,
    whatever Python or libxml2 say of it."""
    try:
        yield
    except (
        etree.LxmlError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError,
    ) as error:  # fmt: skip
        raise ElhubError(f"{what} is none that is understood ({type(error).__name__})") from error


def octets_of(element: Any) -> bytes:
    """A document in UTF-8, with its declaration."""
    out: bytes = etree.tostring(element, encoding="utf-8", xml_declaration=True)
    return out


def local(element: Any) -> str:
    """The name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def namespace(element: Any) -> str:
    return str(element.tag)[1:].rpartition("}")[0]
