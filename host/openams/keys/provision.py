"""What a meter is given on its first start: its title and everybody's keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openams.keys.keystore import Keystore
from openams.keys.model import MeterKeys

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
    keys.key("kek")  # or there is nothing to make a meter of, and no numbers to take
    release = store.release_public(make=True)
    return _configured(keys, release, store.reserve_server(meter_id, reserve), reserve)


def provisioned_all(store: Keystore, meter_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`provisioned` of each, in one change of the keystore; those without keys are given some."""
    store.ensure(meter_ids)
    release = store.release_public(make=True)
    given = store.reserve_servers(meter_ids, _SERVER_RESERVE)
    return {
        keys.meter_id: _configured(keys, release, first, _SERVER_RESERVE) for keys, first in given
    }


def _configured(keys: MeterKeys, release: str | None, first: int, count: int) -> dict[str, Any]:
    keys.key("kek")
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
        "release_key": release,
        "server_counter": first,
        "server_counters": count,
    }


def more_numbers(store: Keystore, meter_id: str, least: int) -> tuple[int, int]:
    """(first, count) for a meter that has come to the end of its range. Raises BenchError."""
    return store.reserve_server(meter_id, _SERVER_RESERVE, least), _SERVER_RESERVE
