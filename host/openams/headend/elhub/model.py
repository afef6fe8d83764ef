"""What goes between a grid company and Elhub: plain data, in UTC and whole watt-hours.

Names and codes are those of Elhub's schema (BIM, version 2.3). A value that the schema leaves open
may be None: whoever judges a message has to be able to hold one that is not as it should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from openams.errors import BenchError

# Elhub's own GLN. Parties are GLNs (scheme agency 9).
ELHUB = "7080003824349"
ACTIVE_ENERGY = "8716867000030"
KWH, KVARH = "kWh", "kvarh"
# Seen from the net: Out of it to who consumes, In from who produces.
OUT, IN = "Out", "In"
# Who keeps a list of codes.
EBIX, UNECE, ELHUB_LIST, GS1 = "260", "6", "89", "9"
MOST_SERIES = 9999
MOST_OBSERVATIONS = 9999
ACCEPTED, REJECTED = "39", "41"


class ElhubError(BenchError):
    """A message, an answer or a setting that is not as Elhub's standard has it."""


class Code(NamedTuple):
    """A code and the agency whose list it is of."""

    code: str
    agency: str


@dataclass(frozen=True, slots=True)
class Process:
    """What a message is: its document type, business process and the sender's role."""

    document: Code
    process: Code
    role: Code


INTERVAL_VOLUMES = Process(Code("E13", EBIX), Code("BRS-NO-313", ELHUB_LIST), Code("DDE", UNECE))
PERIOD_VOLUMES = Process(Code("E30", EBIX), Code("BRS-NO-312", ELHUB_LIST), Code("DDE", UNECE))
REMINDER = Process(Code("E39", EBIX), Code("BRS-NO-314", ELHUB_LIST), Code("MDR", UNECE))
ANSWER = Process(Code("294", UNECE), Code("BRS-NO-313", ELHUB_LIST), Code("DDE", UNECE))
POLL = Process(Code("21", UNECE), Code("POLL", ELHUB_LIST), Code("DDE", UNECE))


@dataclass(frozen=True, slots=True)
class Header:
    """Who says what to whom. `confirm`: RequestPositiveAcknowledgement, None where not given."""

    message_id: str  # UUID in lower case
    what: Process
    created: datetime
    sender: str  # who sends (physical)
    party: str  # for whom (juridical)
    recipient: str
    confirm: bool | None = None


class Quantity(NamedTuple):
    """One observation. `state`: of openams.headend.vee.codes; the codes only where it has them."""

    wh: int
    state: str
    validation: str | None = None
    estimation: str | None = None


@dataclass(frozen=True, slots=True)
class Profiled:
    """The volume of a period of a profile-settled point; reason 1: periodic, 4: meter change."""

    wh: int
    stipulated: bool = False
    reason: str = "1"


@dataclass(frozen=True, slots=True)
class Series:
    """One PayloadEnergyTimeSeries: values of one direction of one point.

    `resolution` is the duration as written (PT60M, PT1H, PT15M); `readings` are the registers in Wh
    at both ends, which belong to period volumes alone. `numbers`: the Sequence of each observation.
    """

    series_id: str
    registered: datetime
    point: str
    direction: str | None
    begin: datetime | None
    end: datetime | None
    resolution: str | None = "PT60M"
    values: tuple[Quantity, ...] = ()
    product: str | None = ACTIVE_ENERGY
    unit: str | None = KWH
    readings: tuple[int | None, int | None] = (None, None)
    profiled: Profiled | None = None
    numbers: tuple[int, ...] | None = None  # None: 1, 2, 3 ...


@dataclass(frozen=True, slots=True)
class CollectedData:
    header: Header
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What became of a message, or of one of its series (`payload`)."""

    header: Header
    status: str  # ACCEPTED, REJECTED
    document: str  # UUID of the message
    payload: str | None = None
    reasons: tuple[Code, ...] = ()


class Missing(NamedTuple):
    """One period of one point of which Elhub has no values."""

    point: str
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Reminder:
    """RequestCollectedData. `kind`: IV interval volumes, PV period volume, MI index, EAC yearly."""

    header: Header
    kind: str
    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class PollForData:
    header: Header


Message = CollectedData | Acknowledgement | Reminder | PollForData


@dataclass(frozen=True, slots=True)
class Unread:
    """A message of the hub of a kind that is not read here, as it came."""

    document: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought: one identification for all, by which it is acknowledged as a whole."""

    poll_id: str
    messages: tuple[Message | Unread, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Elhub's SOAP fault: group XSD, Compression, Security, System, UUID, Size, Date or Other."""

    group: str
    description: str
    text: str = ""
