"""The shape of Elhub's messages (BIM, version 2.3): order, number and form of the elements.

Elhub's schema itself is not ours to hand on. These are the facts of it that a message of this
process needs; what they refuse, Elhub refuses with a fault of the group XSD before it looks at
anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from openams.headend.elhub.model import Code, ElhubError
from openams.headend.elhub.safexml import local

COLLECTED = "urn:no:elhub:emif:metering:CollectedData:v2"
REQUESTED = "urn:no:elhub:emif:metering:RequestCollectedData:v2"
ACKNOWLEDGED = "urn:no:elhub:emif:Acknowledgement:v2"
POLLED = "urn:no:elhub:emif:PollForData:v2"
COMMON = "urn:no:elhub:emif:common:AggregatedBusinessInformationEntities:v2"

MANY = 9999
# Element: what stands in it, in this order, at least and at most so many times.
CHILDREN: dict[str, tuple[tuple[str, int, int], ...]] = {
    "CollectedData": (
        ("Header", 1, 1), ("ProcessEnergyContext", 1, 1), ("PayloadEnergyTimeSeries", 1, MANY)),
    "RequestCollectedData": (
        ("Header", 1, 1), ("ProcessEnergyContext", 1, 1), ("PayloadMeasuredDataRequest", 1, 1)),
    "Acknowledgement": (
        ("Header", 1, 1), ("ProcessEnergyContext", 1, 1), ("PayloadResponseEvent", 1, 1)),
    "PollForData": (
        ("Header", 1, 1), ("ProcessEnergyContext", 1, 1), ("Payload", 1, 1)),
    "Payload": (("EnergyParty", 0, 1), ("EnergyBusinessProcessRole", 0, 1)),
    "Header": (
        ("Identification", 1, 1), ("DocumentType", 1, 1), ("Creation", 1, 1),
        ("RequestPositiveAcknowledgement", 0, 1), ("PhysicalSenderEnergyParty", 1, 1),
        ("JuridicalSenderEnergyParty", 1, 1), ("JuridicalRecipientEnergyParty", 1, 1)),
    "PhysicalSenderEnergyParty": (("Identification", 1, 1),),
    "JuridicalSenderEnergyParty": (("Identification", 1, 1),),
    "JuridicalRecipientEnergyParty": (("Identification", 1, 1),),
    "ProcessEnergyContext": (
        ("EnergyBusinessProcess", 1, 1), ("EnergyBusinessProcessRole", 1, 1),
        ("EnergyIndustryClassification", 1, 1)),
    "PayloadEnergyTimeSeries": (
        ("Identification", 1, 1), ("RegistrationDateTime", 1, 1),
        ("ObservationPeriodTimeSeriesPeriod", 0, 1),
        ("ProductIncludedProductCharacteristics", 0, 1),
        ("MPDetailMeasurementMeteringPointCharacteristic", 0, 1),
        ("MeteringPointUsedDomainLocation", 1, 1),
        ("Observation", 0, MANY), ("ProfiledObservation", 0, 1),
        ("AnnualPeriodEstimatedMetrics", 0, 1)),
    "ObservationPeriodTimeSeriesPeriod": (
        ("ResolutionDuration", 0, 1), ("Start", 0, 1), ("MeterReadingStart", 0, 1),
        ("End", 0, 1), ("MeterReadingEnd", 0, 1)),
    "ProductIncludedProductCharacteristics": (("Identification", 1, 1), ("UnitType", 1, 1)),
    "MPDetailMeasurementMeteringPointCharacteristic": (("Direction", 1, 1),),
    "MeteringPointUsedDomainLocation": (("Identification", 1, 1),),
    "PayloadMeasuredDataRequest": (("ReminderType", 1, 1), ("Reminder", 1, MANY)),
    "Reminder": (("Period", 1, 1), ("MeteringPointUsedDomainLocation", 1, 1)),
    "Period": (("Start", 1, 1), ("End", 1, 1)),
    "PayloadResponseEvent": (
        ("StatusType", 1, 1), ("ResponseReasonType", 0, 999),
        ("OriginalBusinessDocumentReference", 1, 1), ("OriginalPayloadReference", 0, 1)),
}  # fmt: skip
DURATIONS = frozenset(("P1D", "P1M", "P1Y", "PT5M", "PT15M", "PT1H", "PT30M", "PT60M"))
PRODUCTS = frozenset(
    [
        "8716867000030",
        "8716867000047",
        "8716867000139",
        "8716867000146",
        "4700000000201",
        "4700000000101",
        "4700000000301",
        "4700000000302",
        "4700000000303",
    ]
)
UNITS = frozenset(("kWh", "kvarh"))
DIRECTIONS = frozenset(("In", "Out"))
ROLES = frozenset(
    ["AG", "BSL", "DDE", "DDK", "DDM", "DDQ", "DDZ", "DDX", "MDR", "PQ", "QRY", "SLR"]
)
DOCUMENTS = frozenset(
    [
        "21",
        "392",
        "406",
        "414",
        "432",
        "E02",
        "E07",
        "E10",
        "E13",
        "E30",
        "E31",
        "E39",
        "E58",
        "E65",
        "E66",
        "E67",
        "ERR",
        "294",
    ]
)
REMINDERS = frozenset(("EAC", "IV", "MI", "PV"))
QUALITIES = frozenset(("56", "81"))
STATUSES = frozenset(("39", "41"))

_XSI = "{http://www.w3.org/2001/XMLSchema-"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_POINT = re.compile(r"[0-9]{18}")
_PROCESS = re.compile(r"BRS-NO-[0-9]{3}|POLL")
_REASON = re.compile(r"E[0-9]{2}|E0[H-M]|EH[0-9]{3}")
_TIME = re.compile(
    r"([1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})"
)
# What is later has no place in a calendar once a zone or a day is added to it.
_LAST_YEAR = 9000
_USUAL = re.compile(r"[0-9]{1,12}\.[0-9]{3}")
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")


def children_of(element: Any) -> list[Any]:
    """The elements in an element that holds nothing but elements."""
    children = list(element)
    text = element.text
    if (text and not text.isspace()) or any(
        child.tail and not child.tail.isspace() for child in children
    ):
        raise ElhubError(f"{local(element)} holds text where elements have to be")
    return children


class Parts:
    """The children of one element, of which order and number are right."""

    __slots__ = ("_found", "name")

    def __init__(self, element: Any, space: str = COMMON) -> None:
        self.name = local(element)
        rule = CHILDREN[self.name]
        if any(
            not name.startswith("{http://www.w3.org/2001/XMLSchema-") for name in element.attrib
        ):
            raise ElhubError(f"{self.name} has an attribute that has no place there")
        found: dict[str, list[Any]] = {}
        at = 0
        prefix = f"{{{space}}}"
        for child in children_of(element):
            tag = str(child.tag)
            name = tag.rpartition("}")[2]
            while at < len(rule) and rule[at][0] != name:
                at += 1
            if at == len(rule) or tag != prefix + name:
                raise ElhubError(f"{name} has no place there in {self.name}")
            found.setdefault(name, []).append(child)
        for name, least, most in rule:
            count = len(found.get(name, ()))
            if not least <= count <= most:
                raise ElhubError(f"{self.name} has {count} of {name}: {least} to {most} it may be")
        self._found = found

    def one(self, name: str) -> Any:
        return self._found[name][0]

    def maybe(self, name: str) -> Any:
        found = self._found.get(name)
        return found[0] if found else None

    def every(self, name: str) -> Iterator[Any]:
        yield from self._found.get(name, ())

    def text(self, name: str) -> str:
        return text_of(self._found[name][0])


def text_of(element: Any) -> str:
    if len(element):
        raise ElhubError(f"{local(element)} holds elements where a text has to be")
    return element.text or ""


def one_of(element: Any, choice: frozenset[str]) -> str:
    text = text_of(element)
    if text not in choice:
        raise ElhubError(f"{local(element)} is {_shown(text)}: none of its list")
    return text


def matching(element: Any, form: re.Pattern[str]) -> str:
    text = text_of(element)
    if not form.fullmatch(text):
        raise ElhubError(f"{local(element)} is {_shown(text)}: not of its form")
    return text


def uuid_of(element: Any) -> str:
    return matching(element, _UUID)


def point_of(element: Any) -> str:
    identification = Parts(element).one("Identification")
    attribute(identification, "schemeAgencyIdentifier", frozenset(("9",)))
    return matching(identification, _POINT)


def party_of(element: Any) -> str:
    identification = Parts(element).one("Identification")
    attribute(identification, "schemeAgencyIdentifier", frozenset(("9",)))
    text = text_of(identification)
    if not 1 <= len(text) <= 13:
        raise ElhubError(f"{local(element)} is {_shown(text)}: 1 to 13 characters it may have")
    return text


def process_of(element: Any) -> Code:
    return Code(matching(element, _PROCESS), agency(element, "89"))


def reason_of(element: Any) -> Code:
    text = " ".join(text_of(element).split())
    if not _REASON.fullmatch(text):
        raise ElhubError(f"{local(element)} is {_shown(text)}: not of its form")
    return Code(text, agency(element, "89", "260"))


def agency(element: Any, *allowed: str) -> str:
    return attribute(element, "listAgencyIdentifier", frozenset(allowed))


def attribute(element: Any, name: str, choice: frozenset[str]) -> str:
    value = element.get(name)
    if value not in choice:
        shown = "missing" if value is None else _shown(value)
        raise ElhubError(f"{name} of {local(element)} is {shown}")
    return str(value)


def time_of(element: Any, digits: int = 3) -> datetime:
    """A time with its zone, UTC. Finer than a microsecond is cut off."""
    text = text_of(element).strip()
    match = _TIME.fullmatch(text)
    if match is None or len(match[2] or "") > digits + 1:
        raise ElhubError(f"{local(element)} is {_shown(text)}: no time with its offset")
    try:
        if int(match[1][:4]) > _LAST_YEAR:
            raise ValueError
        return datetime.fromisoformat(match[1] + (match[2] or "") + match[3]).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ElhubError(f"{local(element)} is {_shown(text)}: no such time") from None


def wh_of(element: Any, negative: bool = False) -> int:
    """Watt-hours of a decimal in kWh: at most 15 digits, at most 3 of them fractions."""
    text = text_of(element).strip()
    if _USUAL.fullmatch(text):
        return int(text[:-4]) * 1000 + int(text[-3:])
    if not _DECIMAL.fullmatch(text) or len(text) > 40:
        raise ElhubError(f"{local(element)} is {_shown(text)}: no decimal number")
    try:
        wh = Decimal(text).scaleb(3)
    except InvalidOperation:
        raise ElhubError(f"{local(element)} is {_shown(text)}: no decimal number") from None
    whole = int(wh)
    if whole != wh or abs(whole) >= 10**15:
        raise ElhubError(f"{local(element)} is {_shown(text)}: more than 3 decimals or 15 digits")
    if whole < 0 and not negative:
        raise ElhubError(f"{local(element)} is {_shown(text)}: less than nothing")
    return whole


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
