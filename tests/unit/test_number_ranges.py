"""No number of the meter's own serves in two runs: on both VMs, and with the bench's keystore."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from dlms import Bench, Raw

from openams.keys.hankeys import take_keys
from openams.keys.keystore import Keystore
from openams.keys.provision import more_numbers, provisioned

TESTS = Path(__file__).resolve().parents[1]
LAB = TESTS.parent / "host" / "openams" / "faultlab"
sys.path.insert(0, str(TESTS / "unit"))

import number_ranges  # noqa: E402

METER = "7359990000000017"
ON_VM = """
import sys
sys.path[:0] = sys.argv[1:]
import number_ranges
print(number_ranges.run())
"""


@pytest.mark.parametrize("case", number_ranges.CASES, ids=lambda case: case.__name__)
def test_case(case):
    case()


def test_on_the_vm(micropython):
    out = micropython(ON_VM, str(LAB), str(TESTS), str(TESTS / "unit"), heap_kib=2048)
    assert int(out) == len(number_ranges.CASES)


def test_ranges_of_the_keystore_never_meet(tmp_path):
    store = Keystore(tmp_path / "keys", b"x", 2)
    taken = []
    for device in (False, True, False, False, True):
        config = provisioned(store, METER, device)
        taken.append((config["server_counter"], config["server_counters"]))
        taken.append(more_numbers(store, METER, sum(taken[-1])))
    taken.sort()
    for (first, count), (second, _) in zip(taken, taken[1:], strict=False):
        assert first + count <= second
    least = 3_000_000_000
    assert more_numbers(store, METER, least)[0] >= least


def test_a_run_that_goes_beyond_its_range_is_given_more(tmp_path):
    """Two runs of one keystore, each far beyond what it began with."""
    store = Keystore(tmp_path / "keys", b"x", 2)
    seen = []
    for _ in range(2):
        config = provisioned(store, METER)
        # As after so many answers.
        skipped = config["server_counters"] - 30
        given = {**config, "server_counter": config["server_counter"] + skipped}
        given["server_counters"] = 30
        bench = Bench(given)
        numbers = bench.keyring.numbers
        numbers.more = lambda least, n=numbers: n.extend(*more_numbers(store, METER, least))
        (reader,) = [client for client in config["clients"] if client["sap"] == 2]
        keys = tuple(bytes.fromhex(reader[name]) for name in ("encryption", "authentication"))
        client = Raw(bench, 2, keys)
        client.title = b"CLI\0\0\0\0\2"
        title = bytes.fromhex(config["system_title"])
        client.unseal = lambda apdu: b"\xc7\x01\xc1\x00"
        assert len(title) == 8
        client.associate()
        seen += number_ranges.asked(client, 300)
    assert len(seen) == 600 == len(set(seen))


def test_a_run_with_han_keys_of_a_file_ends_with_its_reserve(tmp_path):
    from ams.han.cipher import cipher_of

    first, second = (take_keys(tmp_path / "han") for _ in range(2))
    cipher = cipher_of({**first, "system_title": "00" * 8})
    assert not cipher.used_up()
    cipher.counter = second["counter"] - 1
    assert not cipher.used_up()
    cipher.counter += 1
    assert cipher.used_up()
