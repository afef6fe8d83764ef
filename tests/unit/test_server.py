"""The server with the clients of others: association, services, blocks."""

from __future__ import annotations

import dlmscosem
import gurux
import pytest
from dlms import LONG, OPERATOR_KEYS, READER_KEYS, REGISTER, Bench, Long
from gurux_dlms.objects import GXDLMSAssociationLogicalName, GXDLMSData, GXDLMSRegister


def test_gurux_reads_as_public_and_as_operator():
    bench = Bench()
    public = gurux.Gurux(bench).open()
    assert public.read(GXDLMSRegister(REGISTER), 2) == 123456
    public.close()
    operator = gurux.operator(bench)
    register = GXDLMSRegister(REGISTER)
    assert operator.read(register, 2) == 123456
    operator.read(register, 3)
    assert (register.scaler, int(register.unit)) == (1, 30)
    operator.close()
    assert not bench.complaints and not bench.events


def test_gurux_reads_a_value_of_many_blocks():
    bench = Bench()
    operator = gurux.operator(bench)
    data = GXDLMSData(LONG)
    operator.read(data, 2)
    assert [row[1] for row in data.value] == list(range(Long.rows))


def test_the_object_list_shows_what_the_client_may_touch():
    bench = Bench()
    seen = {}
    for name, client in (
        ("public", gurux.Gurux(bench).open()),
        ("reader", gurux.Gurux(bench, 2, READER_KEYS, channel=2).open()),
    ):
        association = GXDLMSAssociationLogicalName()
        client.read(association, 2)
        seen[name] = {thing.logicalName for thing in association.objectList}
    assert LONG in seen["reader"] and LONG not in seen["public"]
    assert "0.0.43.1.2.255" in seen["public"]
    assert "0.0.43.0.2.255" in seen["reader"] and "0.0.43.0.1.255" not in seen["reader"]


def test_dlms_cosem_reads_writes_and_calls():
    bench = Bench()
    client = dlmscosem.operator(bench)
    assert client.get(dlmscosem.attribute(3, REGISTER, 2)) == b"\x06\x00\x01\xe2\x40"
    data = client.get(dlmscosem.attribute(1, LONG, 2))
    assert len(data) == 3 + 17 * Long.rows
    client.set(dlmscosem.attribute(1, LONG, 2), b"\x09\x02hi")
    assert Long.written == b"hi"
    given = client.action(dlmscosem.method(1, LONG, 2), b"\x00")
    assert bytes(given) == b"\x09\x81\xc8" + bytes(range(200))
    client.release_association()
    client.disconnect()
    # The counter goes on behind the release, which was ciphered too.
    assert bench.keyring.client(1).keys.expected == client.client_invocation_counter


def test_several_channels_at_once_and_clients_in_turn():
    bench = Bench()
    first = gurux.Gurux(bench, 1, OPERATOR_KEYS, channel=0).open()
    second = gurux.Gurux(bench, 2, READER_KEYS, channel=1).open()
    third = gurux.Gurux(bench, channel=2).open()
    for client in (first, second, third, first):
        assert client.read(GXDLMSRegister(REGISTER), 2) == 123456
    again = gurux.Gurux(bench, 2, READER_KEYS, counter=100, channel=0).open()
    assert again.read(GXDLMSRegister(REGISTER), 2) == 123456
    with pytest.raises(Exception, match="(?i)exception|not allowed|service"):
        first.read(GXDLMSRegister(REGISTER), 2)
