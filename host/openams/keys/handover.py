"""Keys from one keystore to another: out of a file of the former form, and the readers' to a
collector's keystore and back.

A counter has one owner at any moment, whenever this is cut: the keystore that gives says first
that its counters are away; the one that gives back keeps what it gave until the other has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.keys.keystore import COUNTERS, METER, RELEASE, RELEASE_NAME, Keystore
from openams.keys.model import CLIENT_SAPS, MeterKeys
from openams.keys.records import Transaction, made
from openams.keys.sealed import SCRYPT_N_PERSON, SealedFile
from openams.places import KEYSTORE_HINT as WHERE
from openams.private import locked, read_private, write_private

READER_SAP = CLIENT_SAPS["reader"]
# In a collector's keystore: counters on their way back.
_BACK = "back"
_NAME = MeterKeys.counter_name(READER_SAP, False)
# Of a collector that is lost: four turns an hour for nearly a year, a thousand numbers each.
_LOST = 1 << 25
Going = tuple[str, dict[str, Any], int, bool]


def is_former(path: Path) -> bool:
    """Whether there is a keystore of the former form, one sealed text, in this place."""
    return path.exists() and read_private(path, hint=WHERE).startswith(b'{"head"')


def takeover(path: Path, passphrase: bytes, scrypt_n: int = SCRYPT_N_PERSON) -> int:
    """Puts a keystore of today's form in the place of one of the former form; how many meters."""
    with locked(path.with_name(path.name + ".lock"), WHERE):
        former = dict(SealedFile(path, passphrase, scrypt_n).read())
        release = former.pop(RELEASE, None)
        try:
            parts = [(number, *MeterKeys.load(keys).split()) for number, keys in former.items()]
        except (AttributeError, KeyError, TypeError):
            raise BenchError(
                f"{path} is a keystore of another version: use that version for it"
            ) from None
        records: dict[str, Iterable[tuple[str, Any]]] = {
            METER: [(number, keys) for number, keys, _ in parts],
            COUNTERS: [(number, counters) for number, _, counters in parts],
            RELEASE: [(RELEASE_NAME, release)] if release else [],
        }
        write_private(path, made(records, passphrase, scrypt_n), hint=WHERE)
    return len(parts)


def give_readers(store: Keystore, collector: Keystore, meter_ids: Sequence[str]) -> int:
    """The reader's keys and counters of meters to a collector's keystore, which has nothing that
    moves or changes a meter. How many went; those that are there already stay."""
    where = str(collector.path.absolute())
    with store.records.changing() as mine:
        going = [_going(store, mine, number, where) for number in meter_ids]
    gone = 0
    with collector.records.changing() as theirs:
        for number, record, first, sure in going:
            if theirs.get(METER, number) is not None:
                continue
            # One whose way back was cut goes on from there.
            back = theirs.get(_BACK, number)
            if back is None and sure:
                raise BenchError(
                    f"{collector.path} no longer has the counters of meter {number}: put it back, "
                    f"or give them up with ams keys readers {collector.path} --lost"
                )
            theirs.remove(_BACK, number)
            theirs.put(METER, number, record)
            theirs.put(COUNTERS, number, {"order": 1, "server": 1, _NAME: back or first})
            gone += 1
    with store.records.changing() as mine:
        for number, _, first, sure in going:
            if not sure:
                keys = store.found(mine, number)
                keys.client(READER_SAP).away = {
                    "path": where,
                    "sure": True,
                    "lost_from": first + _LOST,
                }
                store.put(mine, keys)
    store.forget_taken()
    return gone


def _going(store: Keystore, mine: Transaction, number: str, where: str) -> Going:
    """Marks the reader of a meter as away; (number, record, next counter, whether it got there)."""
    keys = store.found(mine, number)
    reader = keys.client(READER_SAP)
    if reader.pending:
        raise BenchError(
            f"the keys of meter {number} are being changed: "
            f"end that first with ams keys rotate {number} --url URL"
        )
    if reader.away and reader.away["path"] != where:
        reader.demand_here(number)
    if not reader.away:
        reader.away = {"path": where, "next": reader.current.next_counter}
        reader.away |= {"sure": False, "lost_from": reader.current.next_counter + _LOST}
        store.put(mine, keys)
    away, reader.away = reader.away, None
    return number, keys.for_readers(READER_SAP).split()[0], away.get("next", 0), away["sure"]


def give_up(store: Keystore, collector: Path) -> int:
    """The counters that a keystore had are ours again, though it is lost: from far above."""
    where = str(collector.absolute())
    lost = 0
    with store.records.changing() as mine:
        for number, _ in list(mine.all(METER)):
            keys = store.found(mine, number)
            for client in keys.clients:
                if client.away and client.away["path"] == where:
                    # A meter that has seen more says so, and is believed (docs/keys.md).
                    client.current.next_counter = client.away["lost_from"]
                    client.away = None
                    store.put(mine, keys)
                    lost += 1
    return lost


def take_back(store: Keystore, collector: Keystore, meter_ids: Sequence[str] | None = None) -> int:
    """The readers' counters back from a collector's keystore, which has them no more."""
    where = str(collector.path.absolute())
    with collector.records.changing() as theirs:
        here = [number for number, _ in theirs.all(METER)]
        for number in here if meter_ids is None else meter_ids:
            counters = theirs.get(COUNTERS, number)
            if counters is not None:
                theirs.put(_BACK, number, counters[_NAME])
                theirs.remove(METER, number)
                theirs.remove(COUNTERS, number)
        coming = dict(theirs.all(_BACK))
    collector.forget_taken()
    with store.records.changing() as mine:
        for number, following in coming.items():
            keys = store.found(mine, number)
            reader = keys.client(READER_SAP)
            # Taken over once already, and cut before the other forgot it: then it is here.
            if reader.away and reader.away["path"] == where:
                reader.away = None
                reader.current.next_counter = following
                store.put(mine, keys)
    with collector.records.changing() as theirs:
        for number in coming:
            theirs.remove(_BACK, number)
    return len(coming)
