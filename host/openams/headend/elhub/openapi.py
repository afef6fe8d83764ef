"""What the hub holds in the form of Elhub's API to customers (energy-data/v0), and who may ask.

The dataset METERING_VALUES_HOUR_RESTRICTED alone: values of a customer's own points. Times are
Norwegian with their offset. A value that was corrected has a later insertDateTime.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from openams.headend.elhub.build import DURATIONS
from openams.headend.elhub.hubstore import HubStore
from openams.headend.elhub.model import ACTIVE_ENERGY, ElhubError
from openams.headend.vee.calendar import midnight
from openams.meter_time import NORWAY, from_local, from_utc_ms

DATASET = "METERING_VALUES_HOUR_RESTRICTED"
SCOPE = "elhub:enduser"
_NAMES = {"Out": "Consumption", "In": "Production"}
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TOKEN_S = 120
# Without dates the values of the last day are answered.
_USUAL = timedelta(hours=24)


def metering_point(
    store: HubStore,
    gsrn: str,
    end_user: str,
    begin: datetime | None,
    end: datetime | None,
    inserted: datetime | None,
) -> dict[str, Any] | None:
    """One point with its values from `begin` to `end` (exclusive), inserted at or after a moment;
    None: there is none."""
    values = []
    for direction, day in store.days(gsrn):
        first, last = midnight(day), midnight(day + timedelta(days=1))
        if (end is not None and first >= end) or (begin is not None and last <= begin):
            continue
        held = store.day(gsrn, direction, day)
        assert held is not None
        step = timedelta(minutes=held.resolution_min)
        for k, (wh, ms) in enumerate(zip(held.wh, held.inserted, strict=True)):
            at, put = first + k * step, from_utc_ms(ms)
            outside = (begin is not None and at < begin) or (end is not None and at >= end)
            if held.registered[k] < 0 or outside or (inserted is not None and put < inserted):
                continue
            values.append(
                {
                    "startTime": _local(at),
                    "endTime": _local(at + step),
                    "direction": direction,
                    "quantityKwh": wh / 1000,
                    "resolution": DURATIONS[held.resolution_min],
                    "measurementName": _NAMES[direction],
                    "productCode": ACTIVE_ENERGY,
                    "endUserId": end_user,
                    "insertDateTime": _local(put),
                }
            )
    if not values:
        return None
    return {
        "id": gsrn,
        "type": "metering-points",
        "attributes": {"meteringPointId": gsrn, "meteringValuesHour": values},
    }


def _local(at: datetime) -> str:
    return at.astimezone(NORWAY).isoformat()


def moment(text: str | None) -> datetime | None:
    """A date (its midnight) or a time with its offset, as the API takes them."""
    if text is None:
        return None
    try:
        # A plus in a query that nobody escaped is a space.
        when = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise ElhubError(f"{text[:40]!r} is no date and no time with its offset") from None
    return when if when.tzinfo is not None else from_local(when)


# --- who asks ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Customer:
    """A client of the API: its public key, whose values it may have, and of which points."""

    client_id: str
    key: rsa.RSAPublicKey
    end_user: str
    points: tuple[str, ...]


@dataclass
class Desk:
    """Tokens for signed grants (RFC 7523), as Maskinporten gives them."""

    customers: Mapping[str, Customer]
    _tokens: dict[str, tuple[Customer, datetime]] = field(default_factory=dict)

    def token(self, form: Mapping[str, str], now: datetime) -> dict[str, Any]:
        """A token for a grant. ElhubError: its signature, its time or its scope is wrong."""
        if form.get("grant_type") != _GRANT:
            raise ElhubError("the grant type has to be jwt-bearer")
        head, _, rest = form.get("assertion", "").partition(".")
        body, _, signature = rest.partition(".")
        claims = _json_of(body)
        customer = self.customers.get(str(claims.get("iss")))
        if customer is None or _json_of(head).get("alg") != "RS256":
            raise ElhubError("no such client, or a signature that is not RS256")
        try:
            customer.key.verify(
                _octets_of(signature),
                f"{head}.{body}".encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            raise ElhubError("the signature of the grant is wrong") from None
        until = claims.get("exp")
        if not isinstance(until, int) or not now.timestamp() < until <= now.timestamp() + 130:
            raise ElhubError("the grant is out of date, or good for more than two minutes")
        if SCOPE not in str(claims.get("scope")).split():
            raise ElhubError(f"the scope has to be {SCOPE}")
        self._tokens = {k: v for k, v in self._tokens.items() if v[1] > now}
        token = secrets.token_urlsafe(24)
        self._tokens[token] = (customer, now + timedelta(seconds=_TOKEN_S))
        return {"access_token": token, "expires_in": _TOKEN_S, "token_type": "Bearer",
                "scope": SCOPE}  # fmt: skip

    def who(self, authorization: str, now: datetime) -> Customer | None:
        kind, _, token = authorization.partition(" ")
        found = self._tokens.get(token.strip())
        if kind.lower() != "bearer" or found is None or found[1] <= now:
            return None
        return found[0]


def _octets_of(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise ElhubError("the grant is no signed JSON") from None


def _json_of(text: str) -> dict[str, Any]:
    try:
        found = json.loads(_octets_of(text))
    except (ValueError, RecursionError):
        raise ElhubError("the grant is no signed JSON") from None
    if not isinstance(found, dict):
        raise ElhubError("the grant is no signed JSON")
    return found


# --- answers -----------------------------------------------------------------------------


class ApiError(Exception):
    """An answer with another status than 200."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(title)
        self.status = status
        self.body = {"error": [{"code": status, "title": title}]}


def asked(
    store: HubStore,
    desk: Desk,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    now: datetime,
) -> dict[str, Any] | None:
    """The answer to GET metering-points or metering-points/ID; None: 204, nothing is there."""
    if not headers.get("user-agent"):
        raise ApiError(403, "a client has to name itself: User-Agent")
    customer = desk.who(headers.get("authorization", ""), now)
    if customer is None:
        raise ApiError(401, "a token is needed")
    if query.get("dataset") != DATASET:
        raise ApiError(400, f"the dataset has to be {DATASET}")
    try:
        begin, end = moment(query.get("startDate")), moment(query.get("endDate"))
        inserted = moment(query.get("insertDateTime"))
    except OverflowError:
        raise ApiError(400, "a date is at the end of time") from None
    except (ElhubError, ValueError) as error:
        raise ApiError(400, str(error)) from None
    if begin is None and end is None and inserted is None:
        begin = now - _USUAL
    name, _, gsrn = path.strip("/").partition("/")
    if name != "metering-points" or "/" in gsrn:
        raise ApiError(404, "there is no such resource")
    if not gsrn:
        found = _every(store, customer, begin, end, inserted)
        return {"data": found} if found else None
    if gsrn not in customer.points:
        raise ApiError(403, "the point is not the client's")
    one = metering_point(store, gsrn, customer.end_user, begin, end, inserted)
    return None if one is None else {"data": [one]}


def _every(store: HubStore, customer: Customer, *window: datetime | None) -> list[dict[str, Any]]:
    points: Iterable[str] = customer.points
    found = (metering_point(store, gsrn, customer.end_user, *window) for gsrn in points)
    return [one for one in found if one is not None]
