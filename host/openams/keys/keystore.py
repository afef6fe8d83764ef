"""The keystore: a record of each meter's keys, one of its counters; every change lands whole.

Counters are raised in the file before they are used: however a client ends,
no counter is used twice with a key. They lie apart from the keys, so that a
session reads one record and changes a small one, among however many meters.
"""

from __future__ import annotations

import contextlib
import copy
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.keys import releasekey
from openams.keys.model import (
    COUNTER_MAX,
    OPERATOR_SAP,
    SECRETS,
    MeterKeys,
    Pair,
    new_key,
)
from openams.keys.records import SealedRecords, Transaction
from openams.keys.sealed import SCRYPT_N_PERSON

# Counters that an outside client may use without asking again.
_OUTSIDE = 1 << 16
# Counters that others may have used since keys were copied: more is a lie, and for ever.
_LEAP = 1 << 24
# Kinds of records: a meter's keys and its counters, by its number; and the key that signs
# releases, one for all of them.
METER, COUNTERS, RELEASE = "meter", "counters", "release"
RELEASE_NAME = "all"

_Meters = dict[str, MeterKeys]


class Keystore:
    """`ahead`: a process that opens sessions by the hundred takes counters for so many of a client
    at once, in one change of the file; those that it does not use are left out."""

    def __init__(
        self, path: Path, passphrase: bytes, scrypt_n: int = SCRYPT_N_PERSON, ahead: int = 1
    ) -> None:
        self.path = path
        self.records = SealedRecords(path, passphrase, scrypt_n)
        self._ahead = ahead
        # Counters taken and not yet used, of a meter's client: the next, and the end; and the
        # process that took them: a fork takes others.
        self._taken: dict[tuple[str, int, bool], tuple[int, int]] = {}
        self._taker = os.getpid()
        self._lock = threading.RLock()

    # --- meters --------------------------------------------------------------------

    def meters(self) -> _Meters:
        """All meters by number; none while there is no file."""
        with self.records.reading() as now:
            if now is None:
                return {}
            counters = dict(now.all(COUNTERS))
            return {
                number: self._load(number, record, counters.get(number))
                for number, record in now.all(METER)
            }

    def count(self) -> int:
        with self.records.reading() as now:
            return now.count(METER) if now else 0

    def get(self, meter_id: str) -> MeterKeys:
        with self.records.reading() as now:
            found = self._found(now, meter_id) if now else None
        if found is None:
            raise self._unknown(meter_id)
        return found

    def _unknown(self, meter_id: str) -> BenchError:
        return BenchError(
            f"{self.path} has no keys of meter {meter_id}: make them with ams keys new"
        )

    def found(self, now: Transaction, meter_id: str) -> MeterKeys:
        """The keys of a meter amid a change; BenchError where there are none."""
        found = self._found(now, meter_id)
        if found is None:
            raise self._unknown(meter_id)
        return found

    def _found(self, now: Transaction, meter_id: str) -> MeterKeys | None:
        record = now.get(METER, meter_id)
        return record and self._load(meter_id, record, now.get(COUNTERS, meter_id))

    def _load(self, number: str, record: Any, counters: Any) -> MeterKeys:
        try:
            return MeterKeys.join(record, counters)
        except (AttributeError, KeyError, TypeError):
            # What a newer version keeps is not dropped by writing the record without it.
            raise BenchError(
                f"{self.path} has keys of meter {number} of another version: use that version, "
                "or name another file with --keystore"
            ) from None

    @contextlib.contextmanager
    def _changing_meter(self, meter_id: str) -> Iterator[MeterKeys]:
        with self.records.changing() as now:
            keys = self.found(now, meter_id)
            # A copy: what is changed in place is a change too.
            before = copy.deepcopy(keys.split())
            yield keys
            self.put(now, keys, before)
        # The meter asked for others, or they are of keys that are no more.
        self.forget_taken(meter_id)

    def put(self, now: Transaction, keys: MeterKeys, before: tuple[Any, Any] = (0, 0)) -> None:
        """Amid a change: the keys of a meter as they shall be; what is as before stays."""
        for kind, old, new in zip((METER, COUNTERS), before, keys.split(), strict=True):
            if old != new:
                now.put(kind, keys.meter_id, new)

    def forget_taken(self, meter_id: str | None = None) -> None:
        """Counters taken ahead and not used are left out."""
        with self._lock:
            for key in [key for key in self._taken if meter_id in (None, key[0])]:
                del self._taken[key]

    def new(self, meter_id: str) -> MeterKeys:
        """Makes the keys of a meter that has none."""
        return self.new_all([meter_id])[0]

    def new_all(self, meter_ids: Sequence[str]) -> list[MeterKeys]:
        """Makes the keys of meters that have none: of all of them, or of none."""
        if len(meter_ids) != len(set(meter_ids)):
            raise BenchError("a meter is named twice: each has keys of its own")
        with self.records.changing() as now:
            for number in meter_ids:
                if now.get(METER, number) is not None:
                    raise BenchError(
                        f"meter {number} has keys already: ams keys rotate {number} changes them"
                    )
            made = [MeterKeys.new(meter_id) for meter_id in meter_ids]
            parts = [(keys.meter_id, *keys.split()) for keys in made]
            now.put_all(METER, ((number, record) for number, record, _ in parts))
            now.put_all(COUNTERS, ((number, counters) for number, _, counters in parts))
        return made

    def ensure(self, meter_ids: Sequence[str]) -> None:
        """Makes the keys of those that have none, in one change of the file."""
        with self.records.reading() as now:
            missing = [number for number in meter_ids if not now or now.get(METER, number) is None]
        if missing:
            # Somebody else may have made some meanwhile: then each for itself.
            with contextlib.suppress(BenchError):
                self.new_all(missing)

    def get_or_new(self, meter_id: str) -> MeterKeys:
        with self.records.reading() as now:
            found = self._found(now, meter_id) if now else None
        if found is None:
            with contextlib.suppress(BenchError):
                self.new(meter_id)
            found = self.get(meter_id)
        return found

    # --- the key of releases ---------------------------------------------------------

    def release_key(self) -> releasekey.PrivateKey:
        """The key that signs images; BenchError when only its public half is here, or none."""
        record = self._release()
        if record is None:
            raise BenchError(f"{self.path} has no release key: make it with ams image key")
        if not record["private"]:
            raise BenchError(
                f"{self.path} has the public half of the release key alone: "
                "name the keystore of whoever signs with --keystore"
            )
        return releasekey.load(record["private"])

    def release_public(self, make: bool = False) -> str | None:
        """The 64 octets in hex that meters are given; `make`: a new key when there is none."""
        record = self._release()
        if record is None and make:
            with self.records.changing() as now:
                record = now.get(RELEASE, RELEASE_NAME)
                if record is None:
                    record = releasekey.new()
                    now.put(RELEASE, RELEASE_NAME, record)
        return record["public"] if record else None

    def trust_release(self, public: str) -> None:
        """Meters of this keystore are given another's release key: only its public half is here."""
        with self.records.changing() as now:
            record = now.get(RELEASE, RELEASE_NAME)
            if record and record["public"] != public:
                raise BenchError(
                    f"{self.path} has another release key already: meters that have it keep it"
                )
            if record is None:
                now.put(RELEASE, RELEASE_NAME, {"private": "", "public": public})

    def _release(self) -> dict[str, Any] | None:
        with self.records.reading() as now:
            return now.get(RELEASE, RELEASE_NAME) if now else None

    def note_release(self, meter_id: str, manifest: str, expiry_s: int) -> None:
        """An image was released to the meter: released again, it is the same octets."""
        with self._changing_meter(meter_id) as keys:
            keys.released = {"manifest": manifest, "expiry_s": expiry_s}

    # --- counters ----------------------------------------------------------------

    def reserve(
        self, meter_id: str, sap: int, count: int, pending: bool = False, least: int = 0
    ) -> int:
        """The first of `count` counters, `least` or above, that nobody has used with the client's
        keys."""
        which = (meter_id, sap, pending)
        with self._lock:
            if self._taker != os.getpid():
                self._taken, self._taker = {}, os.getpid()
            first, end = self._taken.pop(which, (0, 0))
            first = max(first, least)
            if end - first < count:
                asked = [(meter_id, sap, count * self._ahead, pending)]
                first, end = self.reserve_all(asked, [least])[0]
            if end > first + count:
                self._taken[which] = (first + count, end)
        return first

    def reserve_all(
        self, asked: Iterable[tuple[str, int, int, bool]], least: Sequence[int] = ()
    ) -> list[tuple[int, int]]:
        """For many sessions at once, in one change of the file: (first, end) of each of
        (meter's number, client's SAP, count, whether its pending keys), from its `least` on."""
        given = []
        with self.records.changing() as now:
            for k, (meter_id, sap, count, pending) in enumerate(asked):
                counters = now.get(COUNTERS, meter_id)
                name = MeterKeys.counter_name(sap, pending)
                if counters is None:
                    raise self._unknown(meter_id)
                if name not in counters:
                    # No such client here, or no rotation under way: says which.
                    _pair(self.found(now, meter_id), sap, pending)
                first = max(counters[name], least[k] if least else 0)
                if first > counters[name] + _LEAP:
                    raise BenchError(
                        f"counter {first} is asked for with client {sap} of meter {meter_id}, where"
                        f" the next is {counters[name]}: that would use up the keys"
                    )
                if first + count > COUNTER_MAX:
                    raise BenchError(
                        f"the counters of client {sap} of meter {meter_id} are nearly used up: "
                        f"ams keys rotate {meter_id}"
                    )
                counters[name] = first + count
                now.put(COUNTERS, meter_id, counters)
                given.append((first, first + count))
        return given

    def hand_out(self, meter_id: str) -> MeterKeys:
        """The keys for somebody outside; the counters from those in them on are his."""
        with self._changing_meter(meter_id) as keys:
            given = MeterKeys.load(keys.dump())
            # What another keystore uses is not given away here.
            given.clients = [client for client in given.clients if not client.away]
            for client in keys.clients:
                for pair in () if client.away else (client.current, client.pending):
                    if pair and pair.next_counter + _OUTSIDE < COUNTER_MAX:
                        pair.next_counter += _OUTSIDE
                    elif pair:
                        # What is given away is never used here: then there is nothing to give.
                        raise BenchError(
                            f"the counters of client {client.sap} of meter {meter_id} are nearly "
                            f"used up: ams keys rotate {meter_id}"
                        )
        return given

    def raise_counter(self, meter_id: str, sap: int, least: int, pending: bool = False) -> None:
        """Another client has used the keys: go on from `least`."""
        with self._changing_meter(meter_id) as keys:
            pair = _pair(keys, sap, pending)
            pair.next_counter = max(pair.next_counter, min(least, COUNTER_MAX))

    def reserve_server(self, meter_id: str, count: int, least: int = 1) -> int:
        """The first of `count` counters of the meter's own, `least` or above."""
        with self._changing_meter(meter_id) as keys:
            first = max(keys.server_counter, least)
            if first + count > COUNTER_MAX:
                raise self._spent(meter_id)
            keys.server_counter = first + count
        return first

    def reserve_servers(self, meter_ids: Iterable[str], count: int) -> list[tuple[MeterKeys, int]]:
        """`reserve_server` of many in one change: (keys, first) of each."""
        out = []
        with self.records.changing() as now:
            for meter_id in meter_ids:
                keys = self.found(now, meter_id)
                first = keys.server_counter
                if first + count > COUNTER_MAX:
                    raise self._spent(meter_id)
                before = copy.deepcopy(keys.split())
                keys.server_counter = first + count
                self.put(now, keys, before)
                out.append((keys, first))
        return out

    def _spent(self, meter_id: str) -> BenchError:
        return BenchError(
            f"the counters of meter {meter_id} are nearly used up: "
            "make a new keystore or take another --meter-id"
        )

    def reserve_order(self, meter_id: str, least: int = 1) -> int:
        """A number for an order to the breaker that no order of ours has, `least` or above."""
        with self._changing_meter(meter_id) as keys:
            number = max(keys.next_order, least)
            keys.next_order = number + 1
        return number

    # --- rotation ------------------------------------------------------------------

    def prepare_rotation(self, meter_id: str) -> MeterKeys:
        """New keys beside the old ones. A rotation that was begun goes on with its own:
        the meter may have them already."""
        with self._changing_meter(meter_id) as keys:
            # The master key goes last: without a new one no rotation is under way.
            if keys.pending_kek is None:
                keys.key("kek")
                keys.pending_kek = new_key()
                for client in keys.clients:
                    client.demand_here(meter_id)
                    client.pending = client.pending or Pair()
                for name in SECRETS:
                    _prepare(keys, name)
        return keys

    def prepare_secret(self, meter_id: str, name: str) -> MeterKeys:
        """A new one of SECRETS beside the old one, or the one that was begun with."""
        with self._changing_meter(meter_id) as keys:
            _prepare(keys, name)
        return keys

    def settle_secret(self, meter_id: str, name: str, changed: bool) -> None:
        """The meter has shown that it has the new one; or it never will have it."""
        with self._changing_meter(meter_id) as keys:
            new = keys.pending_secrets.pop(name, None)
            if new is None or not changed:
                return
            if name == "han":
                # Lists under the last ones may still be on a disk.
                keys.han_before = keys.han
            setattr(keys, name, new)

    def commit_rotation(self, meter_id: str, sap: int) -> None:
        """The meter has shown that it has the client's new keys."""
        with self._changing_meter(meter_id) as keys:
            client = keys.client(sap)
            if client.pending is not None:
                # Never back: another process may still have taken some ahead for this client.
                client.pending.next_counter = max(
                    client.pending.next_counter, client.current.next_counter
                )
                client.current, client.pending = client.pending, None
                if sap == OPERATOR_SAP and keys.pending_kek:
                    keys.kek, keys.pending_kek = keys.pending_kek, None


def _prepare(keys: MeterKeys, name: str) -> None:
    new = {"encryption": new_key(), "authentication": new_key()} if name == "han" else new_key()
    keys.pending_secrets.setdefault(name, new)


def _pair(keys: MeterKeys, sap: int, pending: bool) -> Pair:
    client = keys.client(sap)
    client.demand_here(keys.meter_id)
    if not pending:
        return client.current
    if client.pending is None:
        raise BenchError(f"client {client.sap} has no rotation under way")
    return client.pending
