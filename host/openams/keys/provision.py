"""What a meter is given on its first start: its title and everybody's keys."""

from __future__ import annotations

from typing import Any

from openams.keys.keystore import Keystore

# Answers of the meter in a run whose flash is thrown away, and then some.
_SERVER_RESERVE = 1 << 18
# Of one that keeps its flash for years, until somebody flashes it anew with the same keys.
_DEVICE_RESERVE = 1 << 24


def provisioned(store: Keystore, meter_id: str, device: bool = False) -> dict[str, Any]:
    """`security` of the meter's configuration. A meter that has keys in its flash keeps those."""
    reserve = _DEVICE_RESERVE if device else _SERVER_RESERVE
    keys = store.get_or_new(meter_id)
    return {
        "system_title": keys.system_title,
        "clients": [
            {
                "sap": client.sap,
                "title": client.title,
                "encryption": client.current.encryption,
                "authentication": client.current.authentication,
            }
            for client in keys.clients
        ],
        "kek": keys.kek,
        "breaker": keys.breaker,
        "breaker_second": keys.breaker_second,
        "update": keys.update,
        "han": keys.han,
        "release_key": store.release_public(make=True),
        "server_counter": store.reserve_server(meter_id, reserve),
    }
