"""A stand-in for Elhub: takes messages, refuses what Elhub would, reminds of what is missing.

Without sockets: `answer` takes and gives octets, time comes from a clock that is given. Its
register and values are a SQLite file, each request is one transaction. What it cannot know of the
real one (times, limits of size, codes of rules that are not public) is in docs/elhub.md.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from cryptography import x509
from lxml import etree

from openams.headend.elhub import codec, rules, soap, wire
from openams.headend.elhub.build import first_deadline, ready_deadline
from openams.headend.elhub.hubstore import HubStore
from openams.headend.elhub.model import (
    ANSWER,
    ELHUB,
    PERIOD_VOLUMES,
    REJECTED,
    REMINDER,
    Acknowledgement,
    Code,
    CollectedData,
    ElhubError,
    Fault,
    Header,
    Message,
    Missing,
    PollForData,
    Process,
    Reminder,
    Series,
)
from openams.headend.elhub.safexml import octets_of, parse
from openams.headend.vee.calendar import midnight
from openams.meter_time import NORWAY

# What one poll brings at most, and one reminder.
_MOST_POLLED = 1000
_MOST_REMINDED = 9999
_REMINDERS = (first_deadline, ready_deadline)


class Refusal(Exception):
    """A SOAP fault instead of an answer."""

    def __init__(self, group: str, description: str, text: str = "") -> None:
        super().__init__(description)
        self.fault = Fault(group, description, text)


class Hub:
    """`parties`: certificate of each GLN that may send. `delay`: until a refusal can be polled."""

    def __init__(
        self,
        store: HubStore,
        identity: soap.Identity,
        parties: Mapping[str, x509.Certificate],
        clock: Callable[[], datetime],
        delay: timedelta = timedelta(0),
        most_octets: int = 256 << 20,
    ) -> None:
        self.store = store
        self._identity = identity
        self._parties = dict(parties)
        self._clock = clock
        self._delay = delay
        self._most_octets = most_octets

    # --- requests ------------------------------------------------------------------------

    def answer(self, octets: bytes) -> tuple[int, bytes]:
        """HTTP status and envelope for one request. What was taken is kept before it is said."""
        now = self._clock()
        try:
            content = self._served(octets, now)
            status = 200
        except Refusal as error:
            self.store.rollback()
            content, status = soap.fault_of(error.fault, now), 500
        except Exception as error:
            # Whatever one message made of it, the next one is answered.
            self.store.rollback()
            text = f"{type(error).__name__}: {error}"
            fault = Fault("Other", "the stand-in broke at the message", text)
            content, status = soap.fault_of(fault, now), 500
        except BaseException:
            self.store.rollback()
            raise
        root = soap.sign(soap.envelope(content), self._identity, now, with_certificate=False)
        return status, octets_of(root)

    def _served(self, octets: bytes, now: datetime) -> Any | None:
        if len(octets) > self._most_octets:
            raise Refusal("Size", "the message is too long")
        try:
            root = parse(octets, self._most_octets)
            known = soap.verify(root, list(self._parties.values()), now)
        except ElhubError as error:
            raise Refusal(
                "Security", "the message is not signed as it has to be", str(error)
            ) from (error)
        try:
            name, message = wire.read_request(soap.content_of(root))
        except ElhubError as error:
            raise Refusal("XSD", "the message is not as the schema has it", str(error)) from error
        sender = next(gln for gln, one in self._parties.items() if one == known)
        if message.header.sender != sender:
            raise Refusal("Security", "the sender is not the one who signed")
        if message.header.recipient != ELHUB:
            raise Refusal("Other", "the message is not for Elhub")
        self.store.begin()
        out = self._do(name, message, now)
        self.store.commit()
        return out

    def _do(self, name: str, message: Message, now: datetime) -> Any | None:
        if isinstance(message, CollectedData):
            self._take(message, now)
            return None
        if isinstance(message, PollForData):
            self._remind(now)
            poll_id, bodies = self.store.poll(
                message.header.sender, now, str(uuid.uuid4()), _MOST_POLLED
            )
            elements = [etree.fromstring(body) for body in bodies]
            return wire.poll_response(poll_id if elements else None, elements)
        assert isinstance(message, Acknowledgement)
        # Elhub says 200 whatever the reference is.
        self.store.taken(message.header.sender, message.document)
        return None

    # --- values --------------------------------------------------------------------------

    def _take(self, message: CollectedData, now: datetime) -> None:
        header = message.header
        if self.store.knows(header.message_id):
            raise Refusal("UUID", "a message of this identification is there already")
        found = list(rules.check_message(message))
        if header.what == PERIOD_VOLUMES:
            refused = self._take_periods(message, now)
        elif found:
            self._refuse(header, None, [rule.code for rule in found], now)
            for rule in found:
                self.store.refused(
                    header.message_id, message.series[0], rule.number, rule.code.code, now
                )
            refused = len(message.series)
        else:
            refused = sum(not self._take_series(one, header, now) for one in message.series)
        process = header.what.process.code
        counts = (len(message.series), refused)
        self.store.took(header.message_id, header.sender, process, now, *counts)

    def _take_series(self, series: Series, header: Header, now: datetime) -> bool:
        found = list(rules.check_series(series, now))
        if not found:
            found = list(rules.check_known(series, header.party, self.store))
        if not found:
            self.store.put(series, now)
            return True
        codes = list(dict.fromkeys(rule.code for rule in found))
        self._refuse(header, series.series_id, codes, now)
        for rule in found:
            self.store.refused(header.message_id, series, rule.number, rule.code.code, now)
        return False

    def _take_periods(self, message: CollectedData, now: datetime) -> int:
        """Period volumes of profile-settled points (BRS-NO-312)."""
        refused = 0
        for series in message.series:
            code = self._against_period(series, message.header.party, now)
            if code is None:
                self.store.put_period(series, now)
                continue
            refused += 1
            self._refuse(message.header, series.series_id, [code], now)
            self.store.refused(message.header.message_id, series, 312, code.code, now)
        return refused

    def _against_period(self, series: Series, party: str, now: datetime) -> Code | None:
        ebix, own = "260", "89"
        if series.profiled is None:
            return Code("EH073", own)
        if series.begin is None or series.end is None:
            return Code("EH032", own)
        if series.resolution is not None:
            return Code("EH067", own)
        if series.end < series.begin or series.end > now:
            return Code("E50", ebix)
        if series.begin < rules.three_years_before(now):
            return Code("E50", ebix)
        first, last = series.readings
        if first is None or last is None or last - first != series.profiled.wh:
            return Code("E19", ebix)
        terms = self.store.terms(series.point, series.begin)
        if terms is None:
            return Code("E10", ebix)
        if terms.party != party:
            return Code("E09", ebix)
        return Code("E14", ebix) if terms.interval_settled else None

    def _refuse(
        self, original: Header, series_id: str | None, codes: list[Code], now: datetime
    ) -> None:
        # Process and role are the original's; nothing is said of what was accepted (rule 4).
        what = Process(ANSWER.document, original.what.process, original.what.role)
        header = self._header(what, original.sender, original.party, now)
        answer = Acknowledgement(header, REJECTED, original.message_id, series_id, tuple(codes))
        self.store.wait(original.sender, now + self._delay, etree.tostring(codec.encode(answer)))

    def _header(self, what: Process, sender: str, party: str, now: datetime) -> Header:
        return Header(str(uuid.uuid4()), what, now, ELHUB, ELHUB, party)

    # --- reminders -----------------------------------------------------------------------

    def _remind(self, now: datetime) -> None:
        """Of each day whose deadline has passed, once a deadline: what of it is missing."""
        today = now.astimezone(NORWAY).date()
        for ago in range(8, 0, -1):
            day = today - timedelta(days=ago)
            for number, deadline in enumerate(_REMINDERS, 1):
                if deadline(day) <= now and self.store.remind_once(day, number):
                    self._remind_of(day, now)

    def _remind_of(self, day: date, now: datetime) -> None:
        begin, end = midnight(day), midnight(day + timedelta(days=1))
        have = self.store.complete_days(day)
        missing: dict[str, dict[str, None]] = {}
        for party, point, direction, _ in self.store.expected(begin):
            if (point, direction) not in have:
                missing.setdefault(party, {})[point] = None
        for party, points in missing.items():
            header = self._header(REMINDER, party, party, now)
            reminded = tuple(Missing(point, begin, end) for point in points)[:_MOST_REMINDED]
            body = codec.encode(Reminder(header, "IV", reminded))
            self.store.wait(party, now, etree.tostring(body))
