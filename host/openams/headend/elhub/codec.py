"""Elhub's messages as XML and back: `encode` and `decode` are each other's inverse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from lxml import etree

from openams.headend.elhub import shape
from openams.headend.elhub.model import (
    Acknowledgement,
    Code,
    CollectedData,
    ElhubError,
    Header,
    Message,
    Missing,
    PollForData,
    Process,
    Profiled,
    Quantity,
    Reminder,
    Series,
)
from openams.headend.elhub.safexml import local, namespace
from openams.headend.vee.codes import ESTIMATED, ESTIMATION, FINAL, MEASURED, STATES, TEMPORARY
from openams.headend.vee.codes import VALIDATION as VALIDATIONS
from openams.meter_time import NORWAY

_ABIE = "{" + shape.COMMON + "}"
_METERED = _ABIE + "Metered"
_VALIDATION_CODES = frozenset(row.code for row in VALIDATIONS)
_ESTIMATION_CODES = frozenset(row.code for row in ESTIMATION)
_STATE_OF_QUALITY = {STATES[name].quality: name for name in (ESTIMATED, FINAL)}


# --- writing -----------------------------------------------------------------------------


def encode(message: Message) -> Any:
    """The root element of a message."""
    return _ENCODERS[type(message)](message)


def kwh(wh: int) -> str:
    """Watt-hours as Elhub takes them: kWh with three decimals, always."""
    sign = "-" if wh < 0 else ""
    return f"{sign}{abs(wh) // 1000}.{abs(wh) % 1000:03d}"


def stamp(when: datetime) -> str:
    """Norwegian time with its offset."""
    return when.astimezone(NORWAY).isoformat()


def _root(space: str, name: str) -> Any:
    return etree.Element(f"{{{space}}}{name}", nsmap={"rsm": space, "abie": shape.COMMON})


def _put(parent: Any, name: str, text: str | None = None, **attributes: str) -> Any:
    child = etree.SubElement(parent, _ABIE + name, attributes)
    child.text = text
    return child


def _head(root: Any, header: Header) -> str:
    """Header and process; gives the namespace of the message itself."""
    space = namespace(root)
    head = etree.SubElement(root, f"{{{space}}}Header")
    _put(head, "Identification", header.message_id)
    what = header.what
    _put(head, "DocumentType", what.document.code, listAgencyIdentifier=what.document.agency)
    _put(head, "Creation", stamp(header.created))
    if header.confirm is not None:
        _put(head, "RequestPositiveAcknowledgement", str(header.confirm).lower())
    for name, party in (
        ("PhysicalSenderEnergyParty", header.sender),
        ("JuridicalSenderEnergyParty", header.party),
        ("JuridicalRecipientEnergyParty", header.recipient),
    ):
        _put(_put(head, name), "Identification", party, schemeAgencyIdentifier="9")
    context = etree.SubElement(root, f"{{{space}}}ProcessEnergyContext")
    for name, code in (
        ("EnergyBusinessProcess", what.process),
        ("EnergyBusinessProcessRole", what.role),
    ):
        _put(context, name, code.code, listAgencyIdentifier=code.agency)
    _put(context, "EnergyIndustryClassification", "23")
    return space


def _collected(message: CollectedData) -> Any:
    root = _root(shape.COLLECTED, "CollectedData")
    space = _head(root, message.header)
    for series in message.series:
        _series(etree.SubElement(root, f"{{{space}}}PayloadEnergyTimeSeries"), series)
    return root


def _series(payload: Any, series: Series) -> None:
    _put(payload, "Identification", series.series_id)
    _put(payload, "RegistrationDateTime", stamp(series.registered))
    _period(payload, series)
    if series.product is not None:
        product = _put(payload, "ProductIncludedProductCharacteristics")
        _put(product, "Identification", series.product, schemeAgencyIdentifier="9")
        _put(product, "UnitType", series.unit)
    if series.direction is not None:
        detail = _put(payload, "MPDetailMeasurementMeteringPointCharacteristic")
        _put(detail, "Direction", series.direction)
    _point(payload, series.point)
    if series.profiled is not None:
        _profiled(payload, series.profiled)
    numbers = series.numbers or range(1, len(series.values) + 1)
    for number, value in zip(numbers, series.values, strict=True):
        _value(_put(payload, "Observation", Sequence=str(number)), value)


def _period(payload: Any, series: Series) -> None:
    if series.begin is None and series.end is None and series.resolution is None:
        return
    period = _put(payload, "ObservationPeriodTimeSeriesPeriod")
    first, last = series.readings
    if series.resolution is not None:
        _put(period, "ResolutionDuration", series.resolution)
    if series.begin is not None:
        _put(period, "Start", stamp(series.begin))
    if first is not None:
        _put(period, "MeterReadingStart", kwh(first))
    if series.end is not None:
        _put(period, "End", stamp(series.end))
    if last is not None:
        _put(period, "MeterReadingEnd", kwh(last))


def _point(parent: Any, point: str) -> None:
    where = _put(parent, "MeteringPointUsedDomainLocation")
    _put(where, "Identification", point, schemeAgencyIdentifier="9")


def _value(observation: Any, value: Quantity) -> None:
    state = STATES[value.state]
    codes: dict[str, str] = {}
    if state.quality is not None:
        codes["Quality"] = state.quality
    if value.state != MEASURED and value.validation is not None:
        codes["ValidationCode"] = value.validation
    if value.state != MEASURED and value.estimation is not None:
        codes["EstimationCode"] = value.estimation
    _put(observation, state.element, kwh(value.wh), **codes)


def _profiled(payload: Any, profiled: Profiled) -> None:
    name = "Stipulated" if profiled.stipulated else "Metered"
    observation = _put(payload, "ProfiledObservation")
    _put(observation, name, kwh(profiled.wh), MeterReadReasonCode=profiled.reason)


def _acknowledgement(message: Acknowledgement) -> Any:
    root = _root(shape.ACKNOWLEDGED, "Acknowledgement")
    space = _head(root, message.header)
    event = etree.SubElement(root, f"{{{space}}}PayloadResponseEvent")
    _put(event, "StatusType", message.status, listAgencyIdentifier="6")
    for reason in message.reasons:
        _put(event, "ResponseReasonType", reason.code, listAgencyIdentifier=reason.agency)
    _put(event, "OriginalBusinessDocumentReference", message.document)
    if message.payload is not None:
        _put(event, "OriginalPayloadReference", message.payload)
    return root


def _reminder(message: Reminder) -> Any:
    root = _root(shape.REQUESTED, "RequestCollectedData")
    space = _head(root, message.header)
    payload = etree.SubElement(root, f"{{{space}}}PayloadMeasuredDataRequest")
    _put(payload, "ReminderType", message.kind)
    for missing in message.missing:
        one = _put(payload, "Reminder")
        period = _put(one, "Period")
        _put(period, "Start", stamp(missing.begin))
        _put(period, "End", stamp(missing.end))
        _point(one, missing.point)
    return root


def _poll(message: PollForData) -> Any:
    root = _root(shape.POLLED, "PollForData")
    space = _head(root, message.header)
    etree.SubElement(root, f"{{{space}}}Payload")
    return root


_ENCODERS: dict[type, Callable[[Any], Any]] = {
    CollectedData: _collected,
    Acknowledgement: _acknowledgement,
    Reminder: _reminder,
    PollForData: _poll,
}


# --- reading -----------------------------------------------------------------------------


def decode(root: Any) -> Message:
    """The message of an element. ElhubError names the element that is not as the schema has it."""
    found = _DECODERS.get((namespace(root), local(root)))
    if found is None:
        raise ElhubError(f"{local(root)} is none of the messages that are read here")
    parts = shape.Parts(root, namespace(root))
    return found(parts, _header(parts))


def _header(parts: shape.Parts) -> Header:
    head = shape.Parts(parts.one("Header"))
    context = shape.Parts(parts.one("ProcessEnergyContext"))
    document, role = head.one("DocumentType"), context.one("EnergyBusinessProcessRole")
    shape.one_of(context.one("EnergyIndustryClassification"), frozenset(("23",)))
    confirm = head.maybe("RequestPositiveAcknowledgement")
    what = Process(
        Code(shape.one_of(document, shape.DOCUMENTS), shape.agency(document, "260", "6")),
        shape.process_of(context.one("EnergyBusinessProcess")),
        Code(shape.one_of(role, shape.ROLES), shape.agency(role, "6", "89")),
    )
    return Header(
        shape.uuid_of(head.one("Identification")),
        what,
        shape.time_of(head.one("Creation"), digits=9),
        shape.party_of(head.one("PhysicalSenderEnergyParty")),
        shape.party_of(head.one("JuridicalSenderEnergyParty")),
        shape.party_of(head.one("JuridicalRecipientEnergyParty")),
        None if confirm is None else shape.one_of(confirm, frozenset(("true", "false"))) == "true",
    )


def _read_collected(parts: shape.Parts, header: Header) -> CollectedData:
    series = tuple(_read_series(payload) for payload in parts.every("PayloadEnergyTimeSeries"))
    if len({one.series_id for one in series}) < len(series):
        raise ElhubError("two series of the message have the same Identification")
    return CollectedData(header, series)


def _read_series(payload: Any) -> Series:
    parts = shape.Parts(payload)
    begin = end = resolution = product = unit = direction = None
    readings: tuple[int | None, int | None] = (None, None)
    if (element := parts.maybe("ObservationPeriodTimeSeriesPeriod")) is not None:
        period = shape.Parts(element)
        begin, end = (_maybe(period, name, shape.time_of) for name in ("Start", "End"))
        readings = (
            _maybe(period, "MeterReadingStart", shape.wh_of),
            _maybe(period, "MeterReadingEnd", shape.wh_of),
        )
        if (found := period.maybe("ResolutionDuration")) is not None:
            resolution = shape.one_of(found, shape.DURATIONS)
    if (element := parts.maybe("ProductIncludedProductCharacteristics")) is not None:
        goods = shape.Parts(element)
        identification = goods.one("Identification")
        shape.attribute(identification, "schemeAgencyIdentifier", frozenset(("9", "89")))
        product = shape.one_of(identification, shape.PRODUCTS)
        unit = shape.one_of(goods.one("UnitType"), shape.UNITS)
    if (element := parts.maybe("MPDetailMeasurementMeteringPointCharacteristic")) is not None:
        direction = shape.one_of(shape.Parts(element).one("Direction"), shape.DIRECTIONS)
    numbers, values, profiled = _read_values(parts)
    return Series(
        shape.uuid_of(parts.one("Identification")),
        shape.time_of(parts.one("RegistrationDateTime"), digits=9),
        shape.point_of(parts.one("MeteringPointUsedDomainLocation")),
        direction,
        begin,
        end,
        resolution,
        values,
        product,
        unit,
        readings,
        profiled,
        None if numbers == tuple(range(1, len(numbers) + 1)) else numbers,
    )


def _maybe(parts: shape.Parts, name: str, read: Callable[[Any], Any]) -> Any:
    found = parts.maybe(name)
    return None if found is None else read(found)


def _read_values(
    parts: shape.Parts,
) -> tuple[tuple[int, ...], tuple[Quantity, ...], Profiled | None]:
    numbers, values = [], []
    for observation in parts.every("Observation"):
        text = observation.get("Sequence", "")
        if not (text.isascii() and text.isdecimal() and len(text) <= 4):
            raise ElhubError("Sequence of Observation is no number from 0 to 9999")
        numbers.append(int(text))
        values.append(_read_value(observation))
    if len(set(numbers)) < len(numbers):
        raise ElhubError("two observations of a series have the same Sequence")
    element = parts.maybe("ProfiledObservation")
    yearly = parts.maybe("AnnualPeriodEstimatedMetrics")
    if bool(values) + (element is not None) + (yearly is not None) != 1:
        raise ElhubError("a series has observations, a profiled observation or a yearly volume")
    if yearly is not None:
        raise ElhubError("AnnualPeriodEstimatedMetrics is none of what is read here")
    return tuple(numbers), tuple(values), None if element is None else _read_profiled(element)


def _read_value(observation: Any) -> Quantity:
    children = shape.children_of(observation)
    if len(children) != 1 or namespace(children[0]) != shape.COMMON:
        raise ElhubError("an Observation has to hold one value")
    (element,) = children
    wh = shape.wh_of(element)
    if element.tag == _METERED and not element.attrib:
        return Quantity(wh, MEASURED)
    name = local(element)
    codes = dict(element.attrib)
    if name == "Metered":
        _only(element, codes)
        return Quantity(wh, MEASURED)
    if name == "Estimated":
        _only(element, codes, "Quality", "ValidationCode", "EstimationCode")
        quality = shape.attribute(element, "Quality", shape.QUALITIES)
        return Quantity(wh, _STATE_OF_QUALITY[quality], _v(element), _e(element))
    if name == "Temporary":
        _only(element, codes, "ValidationCode", "EstimationCode")
        found = _e(element) if "EstimationCode" in codes else None
        return Quantity(wh, TEMPORARY, _v(element), found)
    raise ElhubError(f"{name} has no place in Observation")


def _v(element: Any) -> str:
    return shape.attribute(element, "ValidationCode", _VALIDATION_CODES)


def _e(element: Any) -> str:
    return shape.attribute(element, "EstimationCode", _ESTIMATION_CODES)


def _only(element: Any, attributes: dict[str, str], *allowed: str) -> None:
    for name in attributes:
        if name not in allowed:
            raise ElhubError(f"{local(element)} has no attribute {name[:40]}")


def _read_profiled(element: Any) -> Profiled:
    children = shape.children_of(element)
    if len(children) != 1 or namespace(children[0]) != shape.COMMON:
        raise ElhubError("a ProfiledObservation has to hold one value")
    (value,) = children
    if local(value) not in ("Metered", "Stipulated"):
        raise ElhubError(f"{local(value)} is none of what is read here")
    reason = shape.attribute(value, "MeterReadReasonCode", frozenset(("1", "4")))
    return Profiled(shape.wh_of(value, negative=True), local(value) == "Stipulated", reason)


def _read_acknowledgement(parts: shape.Parts, header: Header) -> Acknowledgement:
    event = shape.Parts(parts.one("PayloadResponseEvent"))
    status = event.one("StatusType")
    shape.agency(status, "6")
    payload = event.maybe("OriginalPayloadReference")
    return Acknowledgement(
        header,
        shape.one_of(status, shape.STATUSES),
        shape.uuid_of(event.one("OriginalBusinessDocumentReference")),
        None if payload is None else shape.uuid_of(payload),
        tuple(shape.reason_of(one) for one in event.every("ResponseReasonType")),
    )


def _read_reminder(parts: shape.Parts, header: Header) -> Reminder:
    payload = shape.Parts(parts.one("PayloadMeasuredDataRequest"))
    missing = []
    for element in payload.every("Reminder"):
        one = shape.Parts(element)
        period = shape.Parts(one.one("Period"))
        begin, end = shape.time_of(period.one("Start")), shape.time_of(period.one("End"))
        missing.append(
            Missing(shape.point_of(one.one("MeteringPointUsedDomainLocation")), begin, end)
        )
    kind = shape.one_of(payload.one("ReminderType"), shape.REMINDERS)
    return Reminder(header, kind, tuple(missing))


def _read_poll(parts: shape.Parts, header: Header) -> PollForData:
    payload = shape.Parts(parts.one("Payload"))
    if payload.maybe("EnergyParty") is not None:
        shape.party_of(payload.one("EnergyParty"))
    if (role := payload.maybe("EnergyBusinessProcessRole")) is not None:
        shape.one_of(role, shape.ROLES)
        shape.agency(role, "6", "89")
    return PollForData(header)


_DECODERS: dict[tuple[str, str], Callable[[shape.Parts, Header], Message]] = {
    (shape.COLLECTED, "CollectedData"): _read_collected,
    (shape.ACKNOWLEDGED, "Acknowledgement"): _read_acknowledgement,
    (shape.REQUESTED, "RequestCollectedData"): _read_reminder,
    (shape.POLLED, "PollForData"): _read_poll,
}
