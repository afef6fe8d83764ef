"""New keys for a meter, all of them, over the link, wrapped by its master key.

Keys that open no association go first (0-0:128.5.E and the HAN port's), then each client
changes its own (security setup, class 64, method 2); the operator goes last and takes the
master key with it. A cut at any point leaves both in the keystore: check values and
associations show which of them the meter has.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from openams.client import data as axdr
from openams.client.client import Client, session
from openams.client.errors import ClientError, ResultError
from openams.client.links import Url
from openams.client.names import HAN_KEYS
from openams.keys.keystore import Keystore
from openams.keys.model import OPERATOR_SAP, SECRETS, ClientKeys, MeterKeys

_UNICAST, _AUTHENTICATION, _MASTER = 0, 2, 3
_OBJECT_UNDEFINED = 4
# Who may change which, and what they are called.
_OWNERS = {"breaker": "breaker", "breaker_second": "breaker", "update": "update", "han": "operator"}
_TITLES = {
    "breaker": "breaker key",
    "breaker_second": "second breaker key",
    "update": "update key",
    "han": "HAN keys",
}


def rotate(url: Url, store: Keystore, meter_id: str, timeout_s: float) -> list[str]:
    """Names of the keys and clients that are new when this returns."""
    keys = store.prepare_rotation(meter_id)
    done = []
    for name in SECRETS:
        if name in keys.pending_secrets:
            with session(url, _OWNERS[name], store, meter_id, timeout_s) as meter:
                if change_secret(meter, store, name):
                    done.append(_TITLES[name])
    # The operator last: the others' keys are still wrapped under the old master key.
    under_way = [client for client in keys.clients if client.pending]
    under_way.sort(key=lambda client: client.sap == OPERATOR_SAP)
    for client in under_way:
        _rotate_client(url, store, meter_id, client, timeout_s)
    return done + [client.name for client in under_way]


# --- keys that open no association ----------------------------------------------------------


def check_value(key: bytes, keys: MeterKeys) -> bytes:
    """What the meter shows in place of a key (firmware: ams.objects.secrets)."""
    message = b"OAKC" + bytes.fromhex(keys.system_title)
    return hmac.new(key, message, hashlib.sha256).digest()[:8]


def settle(meter: Client, store: Keystore, name: str) -> bool:
    """Whether nothing is open about one of SECRETS: the keystore has what the meter has."""
    keys = store.get(meter.meter_id)
    new = keys.secret(name, pending=True)
    if new is None:
        return True
    if _shown(meter, name) != check_value(new, keys):
        return False
    store.settle_secret(meter.meter_id, name, changed=True)
    return True


def _shown(meter: Client, name: str) -> bytes:
    value = meter.get(1, f"0.0.128.5.{SECRETS.index(name)}.255", 2)
    return value if isinstance(value, bytes) else b""


def change_secret(meter: Client, store: Keystore, name: str) -> bool:
    """Sends the pending one of SECRETS until the meter shows it.

    False: the meter is too old to change it, or has a second breaker key of another person's.
    """
    try:
        shown = _shown(meter, name)
    except ResultError as error:
        if error.result != _OBJECT_UNDEFINED:
            raise
        store.settle_secret(meter.meter_id, name, changed=False)
        return False
    if settle(meter, store, name):
        return True
    keys = store.get(meter.meter_id)
    new, old = keys.secret(name, pending=True), keys.secret(name)
    assert new and old
    kek = keys.key("kek")
    if name == "breaker_second":
        if shown != check_value(old, keys):
            store.settle_secret(meter.meter_id, name, changed=False)
            return False
        kek = old
    wrapped = b"".join(aes_key_wrap(kek, new[at : at + 16]) for at in range(0, len(new), 16))
    obis = HAN_KEYS if name == "han" else f"0.0.128.5.{SECRETS.index(name)}.255"
    meter.set(1, obis, 2, axdr.octets(wrapped))
    if not settle(meter, store, name):
        raise ClientError(f"the meter has not taken the {_TITLES[name]}: try again")
    return True


# --- keys of clients --------------------------------------------------------------------------


def _rotate_client(
    url: Url, store: Keystore, meter_id: str, client: ClientKeys, timeout_s: float
) -> None:
    with session(url, client.name, store, meter_id, timeout_s) as meter:
        keys = store.get(meter_id)
        if keys.client(client.sap).pending:
            meter.action(64, f"0.0.43.0.{client.sap}.255", 2, _transfer(keys, client))
            meter.outlived()
    # Proves that the meter has them: only now the old ones are forgotten.
    with session(url, client.name, store, meter_id, timeout_s, renewed=True):
        pass


def _transfer(keys: MeterKeys, client: ClientKeys) -> bytes:
    assert client.pending
    new = [
        (_UNICAST, client.pending.encryption),
        (_AUTHENTICATION, client.pending.authentication),
    ]
    if client.sap == OPERATOR_SAP and keys.pending_kek:
        new.append((_MASTER, keys.pending_kek))
    kek = keys.key("kek")
    return axdr.array(
        *(
            axdr.structure(axdr.enum(which), axdr.octets(aes_key_wrap(kek, bytes.fromhex(key))))
            for which, key in new
        )
    )
