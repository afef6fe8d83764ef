"""The keystore at scale: meters made, sessions' counters taken, one by one and for many at once.

python tools/bench/keys.py [METERS]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from openams.keys.keystore import Keystore
from openams.keys.sealed import SCRYPT_N_RANDOM

SESSIONS = 500
RESERVE = 1000


def timed(work, count: int) -> float:
    """Milliseconds for each of `count`."""
    begin = time.perf_counter()
    work()
    return round((time.perf_counter() - begin) / count * 1000, 4)


def main() -> None:
    meters = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    numbers = [f"7359992{number:09}" for number in range(meters)]
    some = [numbers[k * 7919 % meters] for k in range(SESSIONS)]
    with tempfile.TemporaryDirectory() as folder:
        store = Keystore(Path(folder) / "keystore", b"bench", SCRYPT_N_RANDOM)
        begin = time.perf_counter()
        store.new_all(numbers)
        made_s = time.perf_counter() - begin

        def sessions(keystore: Keystore) -> None:
            for number in some:
                keystore.get(number)
                keystore.reserve(number, 2, RESERVE)

        ahead = Keystore(store.path, b"bench", SCRYPT_N_RANDOM, ahead=96)
        one_ms = timed(lambda: sessions(store), SESSIONS)
        sessions(ahead)
        result = {
            "meters": meters,
            "made_s": round(made_s, 2),
            "file_mib": round(store.path.stat().st_size / 2**20, 1),
            "session_ms": one_ms,
            "session_ahead_ms": timed(lambda: sessions(ahead), SESSIONS),
            "session_of_many_ms": timed(
                lambda: store.reserve_all([(number, 2, RESERVE, False) for number in some]),
                SESSIONS,
            ),
            "all_s": round(timed(store.meters, 1) / 1000, 2),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
