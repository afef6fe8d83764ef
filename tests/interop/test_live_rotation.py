"""`ams keys rotate` on a running meter, with SIGKILL of the tool and of the meter in the middle."""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from dlms_clients import METER, running_meter
from helpers import AMS

from openams.client.client import session
from openams.client.links import parse_url
from openams.control.client import Operator
from openams.keys.model import SECRETS
from openams.keys.opening import open_keystore


def rotate(meter, *more):
    return [str(AMS), "keys", "rotate", METER, "--url", meter.urls[0], "--json", *more]


def lives(folder, runtime, seeds):
    """A meter with state, and for each seed one kill and one whole rotation after it."""
    store = open_keystore(None, None)
    with ExitStack() as stack:

        def up():
            # A folder of its own: the link of one that was killed may name another's terminal.
            ports = Path(tempfile.mkdtemp(dir=folder))
            more = ("--state", folder / "state")
            return stack.enter_context(running_meter(ports, *more, runtime=runtime))

        meter = up()
        for seed in seeds:
            rng = random.Random(seed)
            print(f"seed {seed}", flush=True)
            before = [store.get(METER).secret(name) for name in SECRETS]
            command = rotate(meter, "--timeout", "5")
            tool = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # Its first second or two goes by before the first key is sent.
            writes = rng.randrange(6, 60)
            watch(store.path, writes, tool)
            if seed % 2:
                tool.kill()
            else:
                meter.process.kill()
                meter.process.wait(timeout=30)
            tool.wait(timeout=60)
            if not seed % 2:
                meter = up()
            done = json.loads(subprocess.run(rotate(meter), capture_output=True, text=True).stdout)
            assert done["meter_id"] == METER
            keys = store.get(METER)
            assert keys.pending_kek is None and not keys.pending_secrets
            assert not set(before) & {keys.secret(name) for name in SECRETS}
        # With what the keystore has now all of it goes: orders, and each client.
        url = parse_url(meter.urls[0])
        for role in ("reader", "operator", "update", "breaker"):
            with session(url, role, store, METER) as client:
                if role == "breaker":
                    assert Operator(client, store, METER).move("disconnect")["last_order"]


def watch(path, writes, tool):
    """Returns when the keystore was written so often, or the tool has ended."""
    seen, last = 0, path.stat().st_ino
    while seen < writes and tool.poll() is None:
        # Each write is a new file in its place.
        if (inode := path.stat().st_ino) != last:
            seen, last = seen + 1, inode


def test_the_meter_is_killed(tmp_path):
    lives(tmp_path, "micropython", [2])


@pytest.mark.campaign
@pytest.mark.parametrize("runtime", ["cpython", "micropython"])
def test_forty_kills(tmp_path, runtime):
    lives(tmp_path, runtime, range(40))
