"""Operations of Elhub's web services: what stands in the body of an envelope (WSDL, version 2.3).

MeteringValues has CollectedData, PollMeteringValues has PollForData and AcknowledgePoll.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lxml import etree

from openams.headend.elhub import codec, shape
from openams.headend.elhub.build import Parties
from openams.headend.elhub.model import (
    ACCEPTED,
    POLL,
    UNECE,
    Acknowledgement,
    Code,
    CollectedData,
    ElhubError,
    Header,
    Message,
    Polled,
    PollForData,
    Process,
    Unread,
)
from openams.headend.elhub.safexml import local, namespace

VALUES = "urn:no:elhub:emif:wsdl:meteringvalues:v2"
POLLING = "urn:no:elhub:emif:wsdl:polling:meteringvalues:v2"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_POLL_ANSWER = Process(Code("294", UNECE), POLL.process, POLL.role)

COLLECT, ASK, TAKEN = "CollectedData", "PollForData", "AcknowledgePoll"


@dataclass(frozen=True, slots=True)
class Service:
    """Path below the address of the hub, and the SOAPAction."""

    path: str
    action: str


SERVICES = {
    COLLECT: Service("MeteringValues", "CollectedData"),
    ASK: Service("PollMeteringValues", "PollForData"),
    TAKEN: Service("PollMeteringValues", "AcknowledgePoll"),
}
_REQUESTS = {
    f"{{{VALUES}}}CollectedDataRequest": COLLECT,
    f"{{{POLLING}}}PollForDataRequest": ASK,
    f"{{{POLLING}}}AcknowledgePollRequest": TAKEN,
}


def collected_request(message: CollectedData) -> Any:
    root = etree.Element(f"{{{VALUES}}}CollectedDataRequest", nsmap={"tns": VALUES})
    content = codec.encode(message)
    # The element is the service's own; its type is the message's.
    content.tag = f"{{{VALUES}}}CollectedData"
    root.append(content)
    return root


def poll_request(parties: Parties, now: datetime, message_id: str) -> Any:
    header = Header(message_id, POLL, now, parties.sender, parties.party, parties.hub)
    return _wrapped("PollForDataRequest", PollForData(header))


def taken_request(parties: Parties, now: datetime, message_id: str, poll_id: str) -> Any:
    """That all of a poll has been kept: the whole of it, there is no part and no refusal."""
    header = Header(message_id, _POLL_ANSWER, now, parties.sender, parties.party, parties.hub)
    return _wrapped("AcknowledgePollRequest", Acknowledgement(header, ACCEPTED, poll_id))


def _wrapped(name: str, message: Message) -> Any:
    root = etree.Element(f"{{{POLLING}}}{name}", nsmap={"tns": POLLING})
    root.append(codec.encode(message))
    return root


def poll_response(poll_id: str | None, messages: Sequence[Any] = ()) -> Any:
    """What a poll brings: elements of messages. None: nothing waits."""
    root = etree.Element(f"{{{POLLING}}}PollForDataResponse", nsmap={"tns": POLLING, "xsi": _XSI})
    if poll_id is None:
        root.set(f"{{{_XSI}}}nil", "true")
        return root
    etree.SubElement(root, f"{{{POLLING}}}Identification").text = poll_id
    etree.SubElement(root, f"{{{POLLING}}}ResultDataSet").extend(messages)
    return root


def read_request(content: Any) -> tuple[str, Message]:
    """The operation that is asked for, and its message."""
    name = _REQUESTS.get(content.tag) if content is not None else None
    if name is None:
        raise ElhubError("the body is none of the requests that are answered here")
    children = shape.children_of(content)
    if len(children) != 1:
        raise ElhubError("a request holds one message")
    (child,) = children
    if name == COLLECT:
        if child.tag != f"{{{VALUES}}}CollectedData":
            raise ElhubError(f"{local(child)} has no place in CollectedDataRequest")
        child.tag = f"{{{shape.COLLECTED}}}CollectedData"
    message = codec.decode(child)
    wanted = {COLLECT: CollectedData, ASK: PollForData, TAKEN: Acknowledgement}[name]
    if not isinstance(message, wanted):
        raise ElhubError(f"{local(child)} has no place in {local(content)}")
    return name, message


def read_poll_response(content: Any) -> Polled | None:
    """What a poll brought; None: nothing. Messages that are not read here come as they are: they
    are to be kept too, before the whole is acknowledged."""
    if content is None or content.tag != f"{{{POLLING}}}PollForDataResponse":
        raise ElhubError("the answer to a poll is no PollForDataResponse")
    if content.get(f"{{{_XSI}}}nil") in ("true", "1"):
        return None
    children = shape.children_of(content)
    names = [local(child) for child in children if namespace(child) == POLLING]
    if names != ["Identification", "ResultDataSet"] or len(children) != 2:
        raise ElhubError("PollForDataResponse holds an Identification and a ResultDataSet")
    poll_id = shape.uuid_of(children[0])
    return Polled(poll_id, tuple(_read_or_kept(one) for one in shape.children_of(children[1])))


def _read_or_kept(element: Any) -> Message | Unread:
    try:
        return codec.decode(element)
    except ElhubError:
        octets: bytes = etree.tostring(element, method="c14n")
        name = f"{{{namespace(element)}}}Header/{{{shape.COMMON}}}Identification"
        # Without an identification the text itself is one.
        document = element.findtext(name) or hashlib.sha256(octets).hexdigest()
        return Unread(document[:64], local(element)[:64], octets.decode())
