"""What is kept for a meter: random keys, nothing shared between meters or clients."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from openams.errors import BenchError
from openams.keys.hankeys import system_title

SERVER_SAP = 1
PUBLIC_SAP = 16
OPERATOR_SAP = 1
# Client SAPs by name. The public client knows no secret: it has no keys.
CLIENT_SAPS = {
    "public": PUBLIC_SAP,
    "reader": 2,
    "operator": OPERATOR_SAP,
    "breaker": 5,
    "update": 6,
}
COUNTER_MAX = 0xFFFFFFFF
# Keys of a meter that open no association. Of `han` there are two.
SECRETS = ("breaker", "breaker_second", "update", "han")


def new_key() -> str:
    return secrets.token_hex(16)


@dataclass
class Pair:
    """Encryption and authentication key of a client, hex, and the next counter never used."""

    encryption: str = field(default_factory=new_key)
    authentication: str = field(default_factory=new_key)
    next_counter: int = 1


@dataclass
class ClientKeys:
    name: str
    sap: int
    title: str  # the client's system title, hex
    current: Pair
    # A rotation that was begun: which of the two the meter has is not known until it is tried.
    pending: Pair | None = None
    # The keystore that has this client's counters meanwhile: "path", and "next" as it got them.
    away: dict[str, Any] | None = None

    @classmethod
    def new(cls, name: str, sap: int) -> ClientKeys:
        return cls(name, sap, b"OAC".hex() + secrets.token_hex(5), Pair())

    @classmethod
    def load(cls, record: dict[str, Any]) -> ClientKeys:
        pending = record["pending"]
        return cls(
            record["name"],
            record["sap"],
            record["title"],
            Pair(**record["current"]),
            Pair(**pending) if pending else None,
            record.get("away"),
        )

    def demand_here(self, meter_id: str) -> None:
        """BenchError while another keystore has the counters: a number would serve twice."""
        if self.away:
            raise BenchError(
                f"the {self.name}'s keys of meter {meter_id} are with {self.away['path']}: use "
                f"that keystore, or take them back with ams keys readers {self.away['path']} --back"
            )


@dataclass
class MeterKeys:
    meter_id: str
    system_title: str
    kek: str
    breaker: str
    update: str
    han: dict[str, str]
    clients: list[ClientKeys]
    # The second person's, where two must seal an order; and the next order's number.
    breaker_second: str = field(default_factory=new_key)
    next_order: int = 1
    # Of the HAN port before the last change: lists under them may still be on a disk.
    han_before: dict[str, str] | None = None
    pending_kek: str | None = None  # goes with the operator's keys, all or none
    # New ones of SECRETS, from before the meter is told until it has shown that it has them.
    pending_secrets: dict[str, Any] = field(default_factory=dict)
    # The image that was last released to it: "manifest" (SHA-256) and "expiry_s".
    released: dict[str, Any] | None = None
    # The next counter of the meter itself, for one whose flash is thrown away after the run.
    server_counter: int = 1

    @classmethod
    def new(cls, meter_id: str) -> MeterKeys:
        return cls(
            meter_id,
            system_title(meter_id),
            kek=new_key(),
            breaker=new_key(),
            update=new_key(),
            han={"encryption": new_key(), "authentication": new_key()},
            clients=[
                ClientKeys.new(name, sap) for name, sap in CLIENT_SAPS.items() if sap != PUBLIC_SAP
            ],
        )

    @classmethod
    def load(cls, record: dict[str, Any]) -> MeterKeys:
        clients = [ClientKeys.load(client) for client in record["clients"]]
        return cls(**{**record, "clients": clients})

    # --- apart: what changes with each session, and what seldom does -------------------

    @staticmethod
    def counter_name(sap: int, pending: bool) -> str:
        """What the next counter of a client's pair is called among the counters."""
        return f"{'pending' if pending else 'client'} {sap}"

    def split(self) -> tuple[dict[str, Any], dict[str, int]]:
        """(keys, counters), for `join`."""
        # Not by `asdict`: it copies leaf by leaf, and there are a hundred thousand meters.
        record = dict(vars(self))
        record["clients"] = [
            {
                **vars(client),
                "current": dict(vars(client.current)),
                "pending": client.pending and dict(vars(client.pending)),
            }
            for client in self.clients
        ]
        counters = {"order": record.pop("next_order"), "server": record.pop("server_counter")}
        for client in record["clients"]:
            for pending, pair in ((False, client["current"]), (True, client["pending"])):
                if pair and client["away"]:
                    pair.pop("next_counter")
                elif pair:
                    counters[self.counter_name(client["sap"], pending)] = pair.pop("next_counter")
        return record, counters

    @classmethod
    def join(cls, record: dict[str, Any], counters: dict[str, int]) -> MeterKeys:
        """KeyError or TypeError for what another version keeps."""
        keys = cls.load({**record, "next_order": counters["order"]})
        keys.server_counter = counters["server"]
        for client in keys.clients:
            for pending, pair in ((False, client.current), (True, client.pending)):
                if pair and not client.away:
                    pair.next_counter = counters[cls.counter_name(client.sap, pending)]
        return keys

    def secret(self, name: str, pending: bool = False) -> bytes | None:
        """The octets of one of SECRETS; of `han` both, the encryption key first."""
        value = self.pending_secrets.get(name) if pending else getattr(self, name)
        if not value:
            return None
        if name == "han":
            value = value["encryption"] + value["authentication"]
        return bytes.fromhex(value)

    def demand_settled(self, name: str) -> None:
        """BenchError while a rotation has left open which key the meter has."""
        if name in self.pending_secrets:
            raise BenchError(
                f"the keys of meter {self.meter_id} are being changed: "
                f"end that first with ams keys rotate {self.meter_id} --url URL"
            )

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    def key(self, name: str) -> bytes:
        """The octets of `kek`, `breaker`, `breaker_second` or `update`; BenchError when it is not
        here: a keystore for readers has none that moves anything."""
        value = getattr(self, name)
        if not value:
            raise BenchError(
                f"this keystore has no {name} key of meter {self.meter_id}: it is one for readers"
            )
        return bytes.fromhex(value)

    @property
    def readers_only(self) -> bool:
        return not self.kek

    def for_readers(self, sap: int) -> MeterKeys:
        """What a collector needs: the reader's pair, and nothing that moves or changes."""
        return MeterKeys(
            self.meter_id,
            self.system_title,
            kek="",
            breaker="",
            update="",
            han={},
            clients=[self.client(sap)],
            breaker_second="",
        )

    def client(self, sap: int) -> ClientKeys:
        for client in self.clients:
            if client.sap == sap:
                return client
        raise BenchError(f"there are no keys of client {sap} of meter {self.meter_id} here")

    def shown(self) -> dict[str, Any]:
        """What an outside client needs to be told, for every client SAP."""
        clients: list[dict[str, Any]] = [
            {"name": "public", "sap": PUBLIC_SAP, "mechanism": 0, "security": "none"}
        ]
        for client in self.clients:
            shown: dict[str, Any] = {
                "name": client.name,
                "sap": client.sap,
                "mechanism": 5,
                "security": "authenticated and encrypted",
                "system_title": client.title,
                "encryption_key": client.current.encryption,
                "authentication_key": client.current.authentication,
                "next_counter": client.current.next_counter,
            }
            if client.pending:
                shown["pending"] = {
                    "encryption_key": client.pending.encryption,
                    "authentication_key": client.pending.authentication,
                    "next_counter": client.pending.next_counter,
                }
            clients.append(shown)
        return {
            "meter_id": self.meter_id,
            "system_title": self.system_title,
            "server_sap": SERVER_SAP,
            "security_suite": 0,
            "clients": clients,
            "kek": self.kek,
            "breaker_key": self.breaker,
            "breaker_second_key": self.breaker_second,
            "next_order": self.next_order,
            "update_key": self.update,
            "han": {f"{name}_key": value for name, value in self.han.items()},
        }
