"""New keys for every client of a meter, over the link: security setup (class 64), method 2.

Each client changes its own; the operator goes last and takes the master key
with it. A cut at any point leaves both in the keystore: an association shows
which of them the meter has.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from openams.client import data as axdr
from openams.client.client import session
from openams.client.links import Url
from openams.keys.keystore import Keystore
from openams.keys.model import OPERATOR_SAP, ClientKeys, MeterKeys

_UNICAST, _AUTHENTICATION, _MASTER = 0, 2, 3


def rotate(url: Url, store: Keystore, meter_id: str, timeout_s: float) -> list[str]:
    """Names of the clients that have new keys when this returns."""
    keys = store.prepare_rotation(meter_id)
    # The operator last: the others' keys are still wrapped under the old master key.
    under_way = [client for client in keys.clients if client.pending]
    under_way.sort(key=lambda client: client.sap == OPERATOR_SAP)
    for client in under_way:
        _rotate_client(url, store, meter_id, client, timeout_s)
    return [client.name for client in under_way]


def _rotate_client(
    url: Url, store: Keystore, meter_id: str, client: ClientKeys, timeout_s: float
) -> None:
    with session(url, client.name, store, meter_id, timeout_s) as meter:
        keys = store.get(meter_id)
        if keys.client(client.sap).pending:
            meter.action(64, f"0.0.43.0.{client.sap}.255", 2, _transfer(keys, client))
    # Proves that the meter has them: only now the old ones are forgotten.
    with session(url, client.name, store, meter_id, timeout_s):
        pass


def _transfer(keys: MeterKeys, client: ClientKeys) -> bytes:
    assert client.pending
    new = [
        (_UNICAST, client.pending.encryption),
        (_AUTHENTICATION, client.pending.authentication),
    ]
    if client.sap == OPERATOR_SAP and keys.pending_kek:
        new.append((_MASTER, keys.pending_kek))
    kek = bytes.fromhex(keys.kek)
    return axdr.array(
        *(
            axdr.structure(axdr.enum(which), axdr.octets(aes_key_wrap(kek, bytes.fromhex(key))))
            for which, key in new
        )
    )
