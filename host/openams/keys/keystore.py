"""The keystore: every change is made under a lock and lands whole.

Counters are raised in the file before they are used: however a client ends,
no counter is used twice with a key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.keys import releasekey
from openams.keys.model import (
    COUNTER_MAX,
    OPERATOR_SAP,
    SECRETS,
    ClientKeys,
    MeterKeys,
    Pair,
    new_key,
)
from openams.keys.sealed import SCRYPT_N_PERSON, SealedFile
from openams.places import KEYSTORE_HINT as WHERE
from openams.private import locked, make_folder

# Counters that an outside client may use without asking again.
_OUTSIDE = 1 << 16
# Beside the meters' numbers: the key that signs releases, for all of them.
_RELEASE = "release"

_Meters = dict[str, MeterKeys]


class Keystore:
    def __init__(self, path: Path, passphrase: bytes, scrypt_n: int = SCRYPT_N_PERSON) -> None:
        self.path = path
        self._file = SealedFile(path, passphrase, scrypt_n)

    def meters(self) -> _Meters:
        """All meters by number; none while there is no file."""
        return self._meters(self._content())

    def _meters(self, content: dict[str, Any]) -> _Meters:
        # What a newer version keeps is not dropped by writing the file without it.
        try:
            return {
                number: MeterKeys.load(record)
                for number, record in content.items()
                if number != _RELEASE
            }
        except (AttributeError, KeyError, TypeError):
            raise BenchError(
                f"{self.path} is a keystore of another version: use that version, "
                "or name another file with --keystore"
            ) from None

    def _content(self) -> dict[str, Any]:
        return dict(self._file.read()) if self.path.exists() else {}

    def get(self, meter_id: str) -> MeterKeys:
        found = self.meters().get(meter_id)
        if found is None:
            raise BenchError(
                f"{self.path} has no keys of meter {meter_id}: make them with ams keys new"
            )
        return found

    @contextlib.contextmanager
    def _changing_content(self) -> Iterator[dict[str, Any]]:
        make_folder(self.path.parent, WHERE)
        with locked(self.path.with_name(self.path.name + ".lock"), WHERE):
            content = self._content()
            yield content
            self._file.write(content)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_Meters]:
        with self._changing_content() as content:
            meters = self._meters(content)
            yield meters
            content.update((number, keys.dump()) for number, keys in meters.items())

    @contextlib.contextmanager
    def _changing_meter(self, meter_id: str) -> Iterator[MeterKeys]:
        with self._changing() as meters:
            if meter_id not in meters:
                raise BenchError(
                    f"{self.path} has no keys of meter {meter_id}: make them with ams keys new"
                )
            yield meters[meter_id]

    def new(self, meter_id: str) -> MeterKeys:
        """Makes the keys of a meter that has none."""
        with self._changing() as meters:
            if meter_id in meters:
                raise BenchError(
                    f"meter {meter_id} has keys already: ams keys rotate {meter_id} changes them"
                )
            meters[meter_id] = MeterKeys.new(meter_id)
        return meters[meter_id]

    def get_or_new(self, meter_id: str) -> MeterKeys:
        found = self.meters().get(meter_id)
        if found is None:
            with contextlib.suppress(BenchError):
                self.new(meter_id)
            found = self.get(meter_id)
        return found

    # --- the key of releases ---------------------------------------------------------

    def release_key(self) -> releasekey.PrivateKey:
        """The key that signs images; BenchError when only its public half is here, or none."""
        record = self._content().get(_RELEASE)
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
        record = self._content().get(_RELEASE)
        if record is None and make:
            with self._changing_content() as content:
                record = content.setdefault(_RELEASE, releasekey.new())
        return record["public"] if record else None

    def trust_release(self, public: str) -> None:
        """Meters of this keystore are given another's release key: only its public half is here."""
        with self._changing_content() as content:
            record = content.get(_RELEASE)
            if record and record["public"] != public:
                raise BenchError(
                    f"{self.path} has another release key already: meters that have it keep it"
                )
            content.setdefault(_RELEASE, {"private": "", "public": public})

    def note_release(self, meter_id: str, manifest: str, expiry_s: int) -> None:
        """An image was released to the meter: released again, it is the same octets."""
        with self._changing_meter(meter_id) as keys:
            keys.released = {"manifest": manifest, "expiry_s": expiry_s}

    # --- counters ----------------------------------------------------------------

    def reserve(self, meter_id: str, sap: int, count: int, pending: bool = False) -> int:
        """The first of `count` counters that nobody has used with the client's keys."""
        with self._changing_meter(meter_id) as keys:
            pair = _pair(keys.client(sap), pending)
            first = pair.next_counter
            if first + count > COUNTER_MAX:
                raise BenchError(
                    f"the counters of client {sap} of meter {meter_id} are nearly used up: "
                    f"ams keys rotate {meter_id}"
                )
            pair.next_counter = first + count
        return first

    def hand_out(self, meter_id: str) -> MeterKeys:
        """The keys for somebody outside; the counters from those in them on are his."""
        with self._changing_meter(meter_id) as keys:
            given = MeterKeys.load(keys.dump())
            for client in keys.clients:
                for pair in (client.current, client.pending):
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
            pair = _pair(keys.client(sap), pending)
            pair.next_counter = max(pair.next_counter, min(least, COUNTER_MAX))

    def reserve_server(self, meter_id: str, count: int, least: int = 1) -> int:
        """The first of `count` counters of the meter's own, `least` or above."""
        with self._changing_meter(meter_id) as keys:
            first = max(keys.server_counter, least)
            if first + count > COUNTER_MAX:
                raise BenchError(
                    f"the counters of meter {meter_id} are nearly used up: "
                    "make a new keystore or take another --meter-id"
                )
            keys.server_counter = first + count
        return first

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
                keys.pending_kek = new_key()
                for client in keys.clients:
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
                client.current, client.pending = client.pending, None
                if sap == OPERATOR_SAP and keys.pending_kek:
                    keys.kek, keys.pending_kek = keys.pending_kek, None


def _prepare(keys: MeterKeys, name: str) -> None:
    new = {"encryption": new_key(), "authentication": new_key()} if name == "han" else new_key()
    keys.pending_secrets.setdefault(name, new)


def _pair(client: ClientKeys, pending: bool) -> Pair:
    if not pending:
        return client.current
    if client.pending is None:
        raise BenchError(f"client {client.sap} has no rotation under way")
    return client.pending
