"""The client of dlms-cosem against a server in the same process."""

from __future__ import annotations

from typing import Any

from dlms import CLIENT_TITLE, OPERATOR_KEYS, Bench
from dlms_cosem.client import DlmsClient
from dlms_cosem.cosem import CosemAttribute, CosemMethod, Obis
from dlms_cosem.enumerations import CosemInterface
from dlms_cosem.security import HighLevelSecurityGmacAuthentication, NoSecurityAuthentication


class Direct:
    """A transport that hands APDUs over."""

    timeout = 1

    def __init__(self, bench: Bench, sap: int, channel: int = 1) -> None:
        self.bench = bench
        self.client_logical_address = sap
        self.server_logical_address = 1
        self.channel = channel

    def connect(self) -> None:
        assert self.bench.server.connected(self.channel, self.client_logical_address, 1)

    def disconnect(self) -> None:
        self.bench.server.disconnected(self.channel)

    def send_request(self, data: bytes) -> bytes:
        answer = self.bench.request(data, self.client_logical_address, self.channel)
        assert answer is not None
        return answer


def make(
    bench: Bench, sap: int = 16, keys: Any = None, counter: int = 1, **more: Any
) -> DlmsClient:
    transport = Direct(bench, sap, more.pop("channel", 1))
    if keys is None:
        return DlmsClient(transport, NoSecurityAuthentication(), **more)
    return DlmsClient(
        transport,
        HighLevelSecurityGmacAuthentication(challenge_length=16),
        encryption_key=keys[0],
        authentication_key=keys[1],
        client_system_title=more.pop("title", CLIENT_TITLE),
        client_initial_invocation_counter=counter,
        **more,
    )


def operator(bench: Bench, **more: Any) -> DlmsClient:
    client = make(bench, 1, OPERATOR_KEYS, **more)
    client.connect()
    client.associate()
    return client


def attribute(interface: int, obis: str, number: int) -> CosemAttribute:
    return CosemAttribute(CosemInterface(interface), Obis.from_string(obis), number)


def method(interface: int, obis: str, number: int) -> CosemMethod:
    return CosemMethod(CosemInterface(interface), Obis.from_string(obis), number)
