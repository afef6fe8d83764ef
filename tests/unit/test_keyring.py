"""Keys and counters across power cuts; dedicated keys; what an opening is parsed from."""

from __future__ import annotations

import contextlib
import struct

import gurux
import pytest
from dlms import (
    GET_LONG,
    GET_REGISTER,
    KEK,
    OPERATOR_KEYS,
    REGISTER_ANSWER,
    Bench,
    Cells,
    Raw,
    security,
)
from gurux_dlms.enums import SourceDiagnostic
from gurux_dlms.GXDLMSException import GXDLMSException
from gurux_dlms.objects import GXDLMSRegister, GXDLMSSecuritySetup
from gurux_dlms.objects.enums import GlobalKeyType
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.cosem import acse
from ams.cosem.axdr import Writer
from ams.cosem.keyring import READS, Keyring, Spent

NEW = (bytes(range(0x80, 0x90)), bytes(range(0x90, 0xA0)))


class Cut(Exception):
    pass


class CutCells(Cells):
    """The power goes before setting number `at`."""

    def __init__(self, values: dict[int, bytes], at: int) -> None:
        super().__init__()
        self.values = dict(values)
        self.at = at

    def set(self, key: int, value: bytes) -> None:
        if len(self.sets) == self.at:
            raise Cut
        super().set(key, value)


def cuts(values, work):
    """Runs `work(cells)` with a cut before each of its settings; yields what was left."""
    at = 0
    while True:
        cells = CutCells(values, at)
        try:
            work(cells)
        except Cut:
            left = Cells()
            left.values = cells.values
            yield left
            at += 1
            continue
        assert at == len(cells.sets) > 0
        return


def test_a_cut_during_the_first_start_begins_anew():
    count = 0
    for cells in cuts({}, lambda cells: Keyring(cells, security())):
        client = Keyring(cells, security()).client(1)
        assert (client.keys.encryption, client.keys.authentication) == OPERATOR_KEYS
        count += 1
    assert count > 4


def test_what_is_stored_counts_before_what_is_given():
    cells = Cells()
    Keyring(cells, security())
    other = security()
    other["clients"][0]["encryption"] = NEW[0].hex()
    assert Keyring(cells, other).client(1).keys.encryption == OPERATOR_KEYS[0]


def test_a_key_transfer_that_is_cut_is_all_or_nothing():
    cells = Cells()
    Keyring(cells, security())
    kek = bytes(16)
    seen = set()

    def work(cells):
        ring = Keyring(cells)
        ring.transfer(ring.client(1), *NEW, kek)

    for left in cuts(cells.values, work):
        ring = Keyring(left)
        keys = ring.client(1).keys
        state = (keys.encryption, keys.authentication, ring.kek())
        assert state in {(*OPERATOR_KEYS, KEK), (*NEW, kek)}
        seen.add(state)
    assert len(seen) == 2


@given(st.lists(st.tuples(st.integers(1, 90), st.booleans()), max_size=60), st.data())
@settings(max_examples=60, deadline=None)
def test_no_number_is_accepted_twice_whenever_the_power_goes(steps, data):
    """Between two cuts a client opens, then reads and acts with numbers that grow."""
    cells = Cells()
    Keyring(cells, security())
    used: set[int] = set()
    acted = 0
    number = 0
    ring = Keyring(cells)
    client = ring.client(1)
    opened = False
    for step, acts in steps:
        if data.draw(st.integers(0, 9)) == 0:
            ring = Keyring(cells)
            client = ring.client(1)
            opened = False
            # What acted never acts again, and what the public is told was never used.
            assert not ring.accept(client, client.keys, acted, True) or acted == 0
            assert client.keys.expected > max(used, default=-1)
        number += step
        assert ring.accept(client, client.keys, number, acts or not opened)
        used.add(number)
        if acts or not opened:
            acted = number
        opened = True
        assert not ring.accept(client, client.keys, number, True)
        assert client.keys.expected == number + 1


def test_reads_do_not_wear_the_flash_out():
    ring = Keyring(cells := Cells(), security())
    client = ring.client(1)
    cells.sets.clear()
    for number in range(10 * READS):
        assert ring.accept(client, client.keys, number, False)
    assert len(cells.sets) <= 11


def test_no_number_goes_out_twice_whenever_the_power_goes():
    cells = Cells()
    Keyring(cells, security())
    seen: set[int] = set()
    for length in (1, 5, 999, 1000, 1001, 3):
        ring = Keyring(cells)
        client = ring.client(1)
        for _ in range(length):
            number = ring.take(client, client.keys)
            assert number not in seen
            seen.add(number)


def test_no_number_goes_out_twice_when_the_flash_gives_an_older_copy():
    cells = Cells()
    ring = Keyring(cells, security())
    client = ring.client(1)
    old = dict(cells.values)
    seen = {ring.take(client, client.keys) for _ in range(5000)}
    cells.values = old
    cells.damaged = True
    ring = Keyring(cells)
    client = ring.client(1)
    assert not seen & {ring.take(client, client.keys) for _ in range(5000)}


def test_two_clients_never_share_a_key():
    same = security()
    same["clients"][1]["encryption"] = same["clients"][0]["encryption"].upper()
    cells = Cells()
    with pytest.raises(ValueError, match="same key"):
        Keyring(cells, same)
    assert not cells.values


def test_spent_numbers_end_the_answers():
    ring = Keyring(Cells(), {**security(), "server_counter": 0xFFFFFFFD})
    client = ring.client(1)
    assert [ring.take(client, client.keys) for _ in range(2)] == [0xFFFFFFFD, 0xFFFFFFFE]
    with pytest.raises(Spent):
        ring.take(client, client.keys)


def test_spent_numbers_do_not_keep_new_keys_out():
    ring = Keyring(cells := Cells(), {**security(), "server_counter": 0xFFFFFFFF})
    client = ring.client(1)
    with pytest.raises(Spent):
        ring.transfer(client, None, NEW[1], None)
    ring.transfer(client, *NEW, None)
    assert ring.take(client, client.keys) == 1
    again = Keyring(cells)
    assert again.client(1).keys.encryption == NEW[0]
    assert again.take(again.client(1), again.client(1).keys) == 1001


def test_a_cell_that_takes_nothing_lets_nothing_act():
    bench = Bench()
    client = Raw(bench).associate()

    def broken(key, value):
        raise OSError("flash")

    bench.cells.set = broken
    assert client.ask(GET_REGISTER) == REGISTER_ANSWER  # a read below the ceiling
    setting = b"\xc1\x01\xc1" + GET_LONG[3:12] + b"\x00\x09\x01x"
    for _ in range(2):
        assert client.ask(setting) == b"\xd8\x01\x03"
    keys = bench.keyring.client(1).keys
    for _ in range(2):
        with pytest.raises(OSError):
            keys.next_out = keys.reserved
            bench.keyring.take(bench.keyring.client(1), keys)
    assert bench.server.faults == 2


def test_gurux_changes_the_keys():
    bench = Bench()
    client = gurux.operator(bench, counter=50)
    setup = GXDLMSSecuritySetup("0.0.43.0.1.255")
    new = [
        (GlobalKeyType.UNICAST_ENCRYPTION, NEW[0]),
        (GlobalKeyType.AUTHENTICATION, NEW[1]),
    ]
    client.ask(setup.globalKeyTransfer(client.client, KEK, new))
    client.client.ciphering.blockCipherKey, client.client.ciphering.authenticationKey = NEW
    assert client.read(GXDLMSRegister("1.0.1.8.0.255"), 2) == 123456
    client.close()
    with pytest.raises(GXDLMSException) as refused:
        gurux.operator(bench, counter=500)
    assert refused.value.diagnostic == SourceDiagnostic.AUTHENTICATION_FAILURE
    again = gurux.Gurux(Bench(cells=bench.cells), 1, NEW, counter=600).open()
    assert again.read(GXDLMSRegister("1.0.1.8.0.255"), 2) == 123456


def test_a_dedicated_key_serves_its_association():
    bench = Bench()
    client = Raw(bench)
    key = bytes(range(0xB0, 0xC0))
    client.associate(info=client.seal(0x21, client.initiate(key)))
    inside = Raw(bench, keys=(key, OPERATOR_KEYS[1]), counter=0)
    inside.title = client.title
    for tag, answer in ((0xD0, 0xD4), (0xDC, 0xDC)):
        got = inside.send(inside.seal(tag, GET_REGISTER))
        assert got[0] == answer and inside.unseal(got) == REGISTER_ANSWER
    old = inside.send(inside.seal(0xD0, GET_REGISTER, counter=0))
    assert old[:3] == b"\xd8\x01\x06" and struct.unpack(">I", old[3:]) == (2,)
    # The client's own keys still serve, and the dedicated one is gone with the association.
    assert client.ask(GET_REGISTER) == REGISTER_ANSWER
    client.associate()
    assert inside.send(inside.seal(0xD0, GET_REGISTER)) == b"\xd8\x01\x01"


@given(st.binary(max_size=120))
def test_any_octets_are_an_opening_or_malformed(data):
    for parse in (acse.Aarq, acse.Initiate, acse.release_info):
        for octets in (data, b"\x60" + bytes((len(data),)) + data, b"\x01" + data):
            with contextlib.suppress(acse.Malformed):
                parse(octets)


@given(
    st.integers(0, 0xFFFFFF),
    st.integers(0, 0xFFFF),
    st.none() | st.binary(min_size=16, max_size=16),
    st.integers(0, 9),
)
def test_initiate(bits, size, key, version):
    data = b"\x01" + (b"\x00" if key is None else b"\x01\x10" + key) + b"\x00\x00"
    data += bytes((version,)) + b"\x5f\x1f\x04" + struct.pack(">I", bits) + struct.pack(">H", size)
    initiate = acse.Initiate(data)
    assert (initiate.conformance, initiate.pdu_size, initiate.version) == (bits, size, version)
    assert initiate.dedicated_key == key
    wanted = acse.VERSION_TOO_LOW if version < 6 else 0
    if not wanted and not bits & 0x19:
        wanted = acse.INCOMPATIBLE_CONFORMANCE
    if not wanted and 0 < size < 64:
        wanted = acse.PDU_TOO_SHORT
    assert initiate.error(64) == wanted


@pytest.mark.parametrize(
    "extra", [b"", b"\xa9\x03\x02\x01\x05", b"\xa7\x03\x02\x01\x05\x80\x02\x07\x80"]
)
def test_long_lengths_and_unknown_fields_are_taken(extra):
    body = bytes.fromhex("A1 81 09 06 07 60857405080101") + extra
    body += bytes.fromhex("BE 82 0010 04 0E 01000000065F1F0400007E1F04B0")
    aarq = acse.Aarq(b"\x60\x82" + struct.pack(">H", len(body)) + body)
    assert aarq.context == 1 and aarq.mechanism is None
    assert acse.Initiate(aarq.user_info).pdu_size == 0x4B0
    answer = Bench().request(b"\x60\x82" + struct.pack(">H", len(body)) + body)
    assert b"\xa2\x03\x02\x01\x00" in answer


def test_an_aare_with_long_length():
    out = Writer(400)
    acse.write_aare(out, 3, 0, 14, bytes(8), 5, bytes(64), bytes(60))
    apdu = bytes(out.view())
    assert apdu[:2] == b"\x61\x81" and apdu[2] == len(apdu) - 3


@pytest.mark.parametrize(
    "info, error",
    [
        ("01000000055F1F0400007E1F04B0", 1),
        ("01000000065F1F0400000000 04B0", 2),
        ("01000000065F1F0400007E1F000B", 3),
        ("01000000065F1F0300007E1F04B0", 4),
        ("0100000006", 4),
    ],
)
def test_an_initiate_that_cannot_be_is_refused_with_its_reason(info, error):
    bench = Bench()
    client = Raw(bench)
    plain = bytes.fromhex(info)
    answer = client.send(client.aarq(info=client.seal(0x21, plain)))
    assert b"\xa2\x03\x02\x01\x01" in answer and answer.endswith(b"\x0e\x01\x06" + bytes((error,)))
