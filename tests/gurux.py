"""The client of gurux-dlms against a server in the same process."""

from __future__ import annotations

from typing import Any

from dlms import CLIENT_TITLE, OPERATOR_KEYS, Bench
from gurux_dlms import GXByteBuffer, GXDLMSClient, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.objects import GXDLMSObject
from gurux_dlms.secure import GXDLMSSecureClient


class Gurux:
    """Opens, reads, writes; `keys` None: the public client."""

    def __init__(
        self, bench: Bench, sap: int = 16, keys: Any = None, counter: int = 1, **more: Any
    ):
        self.bench = bench
        self.channel = more.pop("channel", 1)
        level = Authentication.HIGH_GMAC if keys else Authentication.NONE
        client = GXDLMSSecureClient(True, sap, 1, level, None, InterfaceType.WRAPPER)
        if keys:
            client.ciphering.systemTitle = more.pop("title", CLIENT_TITLE)
            client.ciphering.blockCipherKey = keys[0]
            client.ciphering.authenticationKey = keys[1]
            client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
            client.ciphering.invocationCounter = counter
        for name, value in more.items():
            setattr(client, name, value)
        self.client = client

    def ask(self, frame: Any) -> Any:
        reply = GXReplyData()
        for one in frame if isinstance(frame, list) else [frame]:
            reply.clear()
            answer = self.bench.wrapper(bytes(one), self.channel)
            buffer = GXByteBuffer(answer)
            assert self.client.getData(buffer, reply, None), "no whole answer"
            while reply.isMoreData():
                more = self.client.receiverReady(reply)
                self.client.getData(
                    GXByteBuffer(self.bench.wrapper(bytes(more), self.channel)), reply, None
                )
        return reply

    def open(self) -> Gurux:
        reply = self.ask(self.client.aarqRequest())
        self.client.parseAareResponse(reply.data)
        if self.client.authentication > Authentication.LOW:
            reply = self.ask(self.client.getApplicationAssociationRequest())
            self.client.parseApplicationAssociationResponse(reply.data)
        return self

    def read(self, thing: GXDLMSObject, attribute: int) -> Any:
        reply = self.ask(self.client.read(thing, attribute))
        return self.client.updateValue(thing, attribute, reply.value)

    def close(self) -> None:
        self.ask(self.client.releaseRequest())


def operator(bench: Bench, **more: Any) -> Gurux:
    return Gurux(bench, 1, OPERATOR_KEYS, **more).open()


__all__ = ["GXDLMSClient", "Gurux", "operator"]
