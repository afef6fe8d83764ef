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
from openams.headend.collect.reading import Got
from openams.headend.collect.taking import Came
from openams.headend.collect.work import Outcome, Seqs, Visit, Work
from openams.headend.register import ConcentratorRow, MeterRow
from openams.headend.store.jobs import METER, Turn
from openams.headend.store.raw import Event, RegisterReading, pack_rows, unpack_rows

_LENGTH = struct.Struct("<I")
# What is inflated, at most: the bus takes a mebibyte.
_MOST = 64 << 20
_FORMAT = 1

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
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError,
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
    asked = tuple((_text(meter_id), _whole(day)) for meter_id, day in head["asked"])
    return Work(
        turn, _text(head["worker"]), _whole(head["given_ms"]), _whole(head["until_ms"]), row,
        tuple(map(_whole, head["days"])), _whole(head["logs_ms"]), _seqs(head["seqs"]), asked,
    )  # fmt: skip


def _turn(value: Any) -> Turn:
    kind, subject, segment, attempts, counter = value
    return Turn(_text(kind), _text(subject), _text(segment), _whole(attempts), _whole(counter))


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
    visit = head["visit"]
    seqs = _seqs(visit["seqs"]) if visit is not None else None
    return Outcome(
        _turn(head["turn"]), _text(head["worker"]), _whole(head["began_ms"]),
        _whole(head["took_ms"]), tuple(map(_whole, head["days"])),
        None if head["came"] is None else _came(head["came"], blobs),
        None if visit is None or seqs is None else Visit(
            seqs, [_came(one, blobs) for one in visit["days"]], list(map(dict, visit["alarms"])),
            list(map(dict, visit["pushes"])), bool(visit["more"]), bool(visit["began_anew"]),
            [(_text(name), _maybe(dbm), _text(why)) for name, dbm, why in visit["unread"]],
            # A collector of before it was told does not tell it.
            bool(visit.get("missing", True)),
        ),
        _text(head["road"]), _whole(head["octets"]), _text(head["outcome"]), _text(head["error"]),
        bool(head["told"]), _whole(head["counter"]), _text(head["by"]),
        _signed(head["clock_off_ms"]), _maybe(head["signal_dbm"]),
    )  # fmt: skip


def _came_packed(came: Came, blobs: list[bytes]) -> dict[str, Any]:
    got = {**vars(came.got), "rows": None}
    if came.got.rows:
        got["rows"] = len(blobs)
        blobs.append(pack_rows(came.got.rows))
    return {**came._asdict(), "got": got}


def _came(record: dict[str, Any], blobs: list[bytes]) -> Came:
    got = record["got"]
    rows = [] if got["rows"] is None else list(unpack_rows(blobs[got["rows"]]))
    return Came(
        _text(record["meter_id"]),
        Got(
            rows, [_reading(one) for one in got["readings"]], [_event(e) for e in got["events"]],
            _maybe(got["ahead_ms"]), _whole(got["period_s"]), _whole(got["until_ms"]),
        ),
        _text(record["source"]), tuple(map(_whole, record["days"])), _maybe(record["until_ms"]),
    )  # fmt: skip


def _reading(value: Any) -> RegisterReading:
    meter_id, at_ms, plus, minus, status, source, got_ms = value
    return RegisterReading(
        _text(meter_id), _signed(at_ms), _maybe(plus), _maybe(minus), _signed(status),
        _text(source), _signed(got_ms),
    )  # fmt: skip


def _event(value: Any) -> Event:
    meter_id, log, number, at_ms, code, detail, extra, got_ms, source = value
    return Event(
        _text(meter_id), _text(log), _signed(number), _signed(at_ms), _signed(code),
        _maybe(detail), _maybe(extra), _signed(got_ms), _text(source),
    )  # fmt: skip


# --- evaluation ---------------------------------------------------------------------------------


def pack_days(day: int, at_ms: int, gsrns: Sequence[str], reply: str, part: int) -> bytes:
    """Points of a local day (yyyymmdd) that are to be evaluated; who asks hears at `reply`."""
    return _packed({"day": day, "at_ms": at_ms, "gsrns": gsrns, "reply": reply, "part": part})


def read_days(data: bytes) -> tuple[int, int, list[str], str, int]:
    return _read(data, lambda head, _: (
        _whole(head["day"]), _whole(head["at_ms"]), list(map(_text, head["gsrns"])),
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


def _whole(value: Any) -> int:
    if _signed(value) < 0:
        raise ValueError
    return int(value)


def _maybe(value: Any) -> int | None:
    return None if value is None else _signed(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value
