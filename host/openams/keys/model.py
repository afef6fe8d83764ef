"""What is kept for a meter: random keys, nothing shared between meters or clients."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from openams.errors import BenchError
from openams.hankeys import system_title

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

    def secret(self, name: str, pending: bool = False) -> bytes | None:
        """The octets of one of SECRETS; of `han` both, the encryption key first."""
        value = self.pending_secrets.get(name) if pending else getattr(self, name)
        if value is None:
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

    def client(self, sap: int) -> ClientKeys:
        return next(client for client in self.clients if client.sap == sap)

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
            "han": {
                "encryption_key": self.han["encryption"],
                "authentication_key": self.han["authentication"],
            },
        }
