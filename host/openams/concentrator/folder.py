"""The folder of a concentrator: of one process at a time, of one name, with readers' keys alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.keys.model import CLIENT_SAPS
from openams.private import make_folder, open_private, read_private, try_lock, write_private

READER_SAP = CLIENT_SAPS["reader"]


def readers_only(keystore: Keystore) -> dict[str, str]:
    """The meters whose readers' keys there are, with their system titles in hex; BenchError for
    a keystore that can do more than read."""
    meters = keystore.meters()
    for meter_id, keys in meters.items():
        if not keys.readers_only or any(client.sap != READER_SAP for client in keys.clients):
            raise BenchError(
                f"{keystore.path} can move or change meter {meter_id}: a concentrator gets "
                "readers' keys alone, by ams keys readers"
            )
    return {meter_id: keys.system_title for meter_id, keys in meters.items()}


def claim(folder: Path, name: str) -> tuple[int, bool]:
    """The lock of the folder, which is made, and whether this concentrator was here before.

    BenchError while another process has it, or where it is another's.
    """
    make_folder(folder)
    lock = open_private(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        if not try_lock(lock):
            raise BenchError(
                f"another concentrator runs in {folder}: end it, or name another folder"
            )
        return lock, _is_known(folder, name)
    except BaseException:
        os.close(lock)
        raise


def _is_known(folder: Path, name: str) -> bool:
    identity = folder / "identity"
    try:
        before = json.loads(read_private(identity))["name"]
    except FileNotFoundError:
        write_private(identity, json.dumps({"name": name}).encode())
        return False
    except (ValueError, KeyError, TypeError):
        raise BenchError(f"{identity} is damaged: remove it") from None
    if before != name:
        raise BenchError(f"{folder} is of concentrator {before}, not of {name}")
    return True
