"""What goes over the bus: turns with what their sessions need, and what came of them, as octets.

A length and a JSON object, then rows as the store packs them. Nothing that comes is believed: a
parcel that is none is a ParcelError.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from openams.errors import BenchError
from openams.headend.collect.reading import ALWAYS, Got, stored_number
from openams.headend.collect.taking import Came
from openams.headend.collect.work import Outcome, Seqs, Visit, Work
from openams.headend.days import day_date
from openams.headend.register import ConcentratorRow, MeterRow
from openams.headend.store.jobs import METER, Turn
from openams.headend.store.raw import (
    Event,
    IntervalRow,
    RegisterReading,
    pack_rows,
    unpack_rows,
)

_LENGTH = struct.Struct("<I")
# What is inflated, at most: the bus takes a mebibyte.
_MOST = 64 << 20
_FORMAT = 1
# Of counters of keys, of statuses and signals, of texts.
_COUNTER, _NARROW, _LONGEST = (1 << 32) - 1, (1 << 31) - 1, 1 << 16

T = TypeVar("T")


class ParcelError(BenchError):
    """Octets of the bus that are not what one of ours has written."""


def _packed(head: dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    text = json.dumps({"format": _FORMAT, "blobs": [len(blob) for blob in blobs], **head}).encode()
    return zlib.compress(_LENGTH.pack(len(text)) + text + b"".join(blobs), 1)


def _unpacked(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    inflating = zlib.decompressobj()
    plain = inflating.decompress(data, _MOST)
    if not inflating.eof:
        raise ValueError
    (size,) = _LENGTH.unpack_from(plain)
    at = _LENGTH.size + size
    head = json.loads(plain[_LENGTH.size : at])
    if head["format"] != _FORMAT:
        raise ParcelError(
            f"a parcel of another version ({head['format']}): use one version on all machines"
        )
    blobs = []
    for length in head["blobs"]:
        blobs.append(plain[at : at + length])
        at += length
    if at != len(plain):
        raise ValueError
    return head, blobs


def _read(data: bytes, make: Callable[[dict[str, Any], list[bytes]], T]) -> T:
    try:
        return make(*_unpacked(data))
    except ParcelError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError,
            struct.error, zlib.error, BenchError):  # fmt: skip
        raise ParcelError("what came over the bus is no parcel of ours") from None


# --- work --------------------------------------------------------------------------------------


def pack_work(work: Work) -> bytes:
    return _packed({
        "turn": work.turn, "worker": work.worker, "given_ms": work.given_ms,
        "until_ms": work.until_ms, "row": work.row, "days": work.days, "logs_ms": work.logs_ms,
        "seqs": work.seqs, "asked": work.asked,
    })  # fmt: skip


def read_work(data: bytes) -> Work:
    return _read(data, _work)


def _work(head: dict[str, Any], blobs: list[bytes]) -> Work:
    turn = _turn(head["turn"])
    make: Any = MeterRow if turn.kind == METER else ConcentratorRow
    row = None if head["row"] is None else make(*map(_text, head["row"]))
    asked = tuple((_text(meter_id), _day(day)) for meter_id, day in head["asked"])
    return Work(
        turn, _text(head["worker"]), _moment(head["given_ms"]), _moment(head["until_ms"]), row,
        tuple(map(_day, head["days"])), _moment(head["logs_ms"]), _seqs(head["seqs"]), asked,
    )  # fmt: skip


def _turn(value: Any) -> Turn:
    kind, subject, segment, attempts, counter = value
    return Turn(
        _text(kind), _text(subject), _text(segment), _whole(attempts, _NARROW),
        _whole(counter, _COUNTER),
    )  # fmt: skip


def _seqs(value: Any) -> Seqs | None:
    if value is None:
        return None
    store_id, *numbers = value
    day, alarm, push = map(_whole, numbers)
    return Seqs(_text(store_id), day, alarm, push)


# --- what came ----------------------------------------------------------------------------------


def pack_outcome(out: Outcome) -> bytes:
    blobs: list[bytes] = []
    head = {key: value for key, value in vars(out).items() if key not in ("came", "visit")}
    head["came"] = None if out.came is None else _came_packed(out.came, blobs)
    visit = out.visit
    head["visit"] = None if visit is None else {
        "seqs": visit.seqs, "days": [_came_packed(one, blobs) for one in visit.days],
        "alarms": visit.alarms, "pushes": visit.pushes, "more": visit.more,
        "began_anew": visit.began_anew, "unread": visit.unread,
        "missing": visit.missing,
    }  # fmt: skip
    return _packed(head, blobs)


def read_outcome(data: bytes) -> Outcome:
    return _read(data, _outcome)


def _outcome(head: dict[str, Any], blobs: list[bytes]) -> Outcome:
    visit, turn = head["visit"], _turn(head["turn"])
    seqs = _seqs(visit["seqs"]) if visit is not None else None
    came = None if head["came"] is None else _came(head["came"], blobs)
    if came is not None and (turn.kind, turn.subject) != (METER, came.meter_id):
        # Who has a meter's turn brings nothing of another.
        raise ValueError
    return Outcome(
        turn, _text(head["worker"]), _moment(head["began_ms"]),
        _whole(head["took_ms"]), tuple(map(_day, head["days"])), came,
        None if visit is None or seqs is None else Visit(
            seqs, [_came(one, blobs) for one in visit["days"]], list(map(_said, visit["alarms"])),
            list(map(_said, visit["pushes"])), bool(visit["more"]), bool(visit["began_anew"]),
            [(_text(name), _signal(dbm), _text(why)) for name, dbm, why in visit["unread"]],
            # A collector of before it was told does not tell it.
            bool(visit.get("missing", True)),
        ),
        _text(head["road"]), _whole(head["octets"]), _text(head["outcome"]), _text(head["error"]),
        bool(head["told"]), _whole(head["counter"], _COUNTER), _text(head["by"]),
        _signed(head["clock_off_ms"]), _signal(head["signal_dbm"]),
    )  # fmt: skip


def _said(value: Any) -> dict[str, Any]:
    """An alarm or a push: what it says is anybody's, its number is the concentrator's."""
    return {**value, "seq": _whole(value["seq"])}


def _came_packed(came: Came, blobs: list[bytes]) -> dict[str, Any]:
    got = {**vars(came.got), "rows": None}
    if came.got.rows:
        got["rows"] = len(blobs)
        blobs.append(pack_rows(came.got.rows))
    return {**came._asdict(), "got": got}


def _came(record: dict[str, Any], blobs: list[bytes]) -> Came:
    got, meter_id = record["got"], _text(record["meter_id"])
    rows = [] if got["rows"] is None else list(map(_row, unpack_rows(blobs[got["rows"]])))
    readings, events = list(map(_reading, got["readings"])), list(map(_event, got["events"]))
    if ({one.meter_id for one in readings} | {one.meter_id for one in events}) - {meter_id}:
        raise ValueError
    until = None if record["until_ms"] is None else _moment(record["until_ms"])
    return Came(
        meter_id,
        Got(
            rows, readings, events, _maybe(got["ahead_ms"]), _whole(got["period_s"], 86_400),
            _moment(got["until_ms"]), _moment(got.get("looked_ms", 0)),
        ),
        _text(record["source"]), tuple(map(_day, record["days"])), until,
    )  # fmt: skip


def _row(row: IntervalRow) -> IntervalRow:
    _moment(1000 * row.end_s)
    _whole(row.period_s, 86_400)
    _whole(row.status, _NARROW)
    if None in map(stored_number, row[3:]):
        raise ValueError
    return row


def _reading(value: Any) -> RegisterReading:
    meter_id, at_ms, plus, minus, status, source, got_ms = value
    return RegisterReading(
        _text(meter_id), _moment(at_ms), _register(plus), _register(minus),
        _whole(status, _NARROW), _text(source), _moment(got_ms),
    )  # fmt: skip


def _event(value: Any) -> Event:
    meter_id, log, number, at_ms, code, detail, extra, got_ms, source = value
    return Event(
        _text(meter_id), _text(log), _whole(number), _moment(at_ms), _whole(code, 0xFFFF),
        _maybe(detail), _maybe(extra), _moment(got_ms), _text(source),
    )  # fmt: skip


# --- evaluation ---------------------------------------------------------------------------------


def pack_days(day: int, at_ms: int, gsrns: Sequence[str], reply: str, part: int) -> bytes:
    """Points of a local day (yyyymmdd) that are to be evaluated; who asks hears at `reply`."""
    return _packed({"day": day, "at_ms": at_ms, "gsrns": gsrns, "reply": reply, "part": part})


def read_days(data: bytes) -> tuple[int, int, list[str], str, int]:
    return _read(data, lambda head, _: (
        _day(head["day"]), _moment(head["at_ms"]), list(map(_text, head["gsrns"])),
        _text(head["reply"]), _whole(head["part"]),
    ))  # fmt: skip


def pack_counts(part: int, counts: dict[str, int], error: str = "") -> bytes:
    return _packed({"part": part, "counts": counts, "error": error})


def read_counts(data: bytes) -> tuple[int, dict[str, int], str]:
    return _read(data, lambda head, _: (
        _whole(head["part"]), {_text(k): _whole(v) for k, v in head["counts"].items()},
        _text(head["error"]),
    ))  # fmt: skip


# --- values ---------------------------------------------------------------------------------------


def _signed(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -1 << 63 <= value < 1 << 63:
        raise ValueError
    return value


def _whole(value: Any, most: int = (1 << 63) - 1) -> int:
    if not 0 <= _signed(value) <= most:
        raise ValueError
    return int(value)


def _moment(value: Any) -> int:
    return _whole(value, ALWAYS[1])


def _day(value: Any) -> int:
    """A local day, yyyymmdd, of the years that calendars here have."""
    if not 2000 <= day_date(_whole(value, _NARROW)).year <= 2199:
        raise ValueError
    return int(value)


def _register(value: Any) -> int | None:
    if value is not None and stored_number(value) is None:
        raise ValueError
    return _maybe(value)


def _signal(value: Any) -> int | None:
    if value is not None and abs(_signed(value)) > _NARROW:
        raise ValueError
    return _maybe(value)


def _maybe(value: Any) -> int | None:
    return None if value is None else _signed(value)


def _text(value: Any) -> str:
    """One that stores take: none of them has half a character, and not all have a zero."""
    if not isinstance(value, str) or "\0" in value or len(value.encode()) > _LONGEST:
        raise ValueError
    return value
