"""What a meter is given on its first start: its title and everybody's keys."""

from __future__ import annotations

from typing import Any

from openams.keys.keystore import Keystore

# Numbers of the meter's own in a run on the bench; when they come to their end it is given more.
_SERVER_RESERVE = 1 << 18
# Of one that keeps its flash for years: lists of the HAN port for twenty, or ten answers a second
# for ten months. Nobody gives it more before it is flashed again.
_DEVICE_RESERVE = 1 << 28


def provisioned(
    store: Keystore, meter_id: str, device: bool = False, least: int = 0
) -> dict[str, Any]:
    """`security` of the meter's configuration. A meter that has keys in its flash keeps those.

    `least`: so many numbers at once, for a run whose time is faster than its keystore.
    """
    reserve = _DEVICE_RESERVE if device else max(_SERVER_RESERVE, least)
    keys = store.get_or_new(meter_id)
    keys.key("kek")  # or there is nothing to make a meter of
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
        "server_counters": reserve,
    }


def more_numbers(store: Keystore, meter_id: str, least: int) -> tuple[int, int]:
    """(first, count) for a meter that has come to the end of its range. Raises BenchError."""
    return store.reserve_server(meter_id, _SERVER_RESERVE, least), _SERVER_RESERVE
