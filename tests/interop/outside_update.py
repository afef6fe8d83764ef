"""A whole image transfer as clients do it that are not ours: gurux-dlms and dlms-cosem."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

from dlms_clients import Gurux, Running, attribute, dlms_cosem
from dlms_cosem import cosem, enumerations
from gurux_dlms import GXByteBuffer, GXDLMSException
from gurux_dlms.enums import DataType
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.objects import GXDLMSImageTransfer

from openams.client import data as axdr

TRANSFER = "0.0.44.0.0.255"
VERIFYING, VERIFIED = 2, 3


class ByGurux:
    """Blocks of 256 octets, by GXDLMSImageTransfer."""

    block_size = 256

    def __init__(self, meter: Running, link: str, identifier: bytes) -> None:
        self._identifier = identifier
        self._session = Gurux(meter, "update", link)
        self._object = GXDLMSImageTransfer(TRANSFER)

    def __enter__(self) -> ByGurux:
        self._client = self._session.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._session.__exit__(*error)

    def drop(self) -> None:
        """The line is gone: nobody to say good-bye to."""
        for line in (self._client._tcp, self._client._serial):
            if line:
                line.close()

    def choose_blocks(self) -> None:
        self._object.imageBlockSize = self.block_size
        self._client.write(self._object, 2)

    def initiate(self, size: int) -> None:
        assert self._client.read(self._object, 2) == self.block_size
        gurux = self._client.client
        self._client._ask(
            self._object.imageTransferInitiate(gurux, self._identifier.decode(), size)
        )

    def put(self, number: int, block: bytes) -> None:
        data = GXByteBuffer()
        data.setUInt8(DataType.STRUCTURE)
        data.setUInt8(2)
        _GXCommon.setData(None, data, DataType.UINT32, number)
        _GXCommon.setData(None, data, DataType.OCTET_STRING, block)
        self._client.call(self._object, 2, data, DataType.ARRAY)

    def there(self) -> str:
        return str(self._client.read(self._object, 3))

    def first_missing(self) -> int:
        return int(self._client.read(self._object, 4))

    def status(self) -> int:
        return int(self._client.read(self._object, 6))

    def verify(self) -> None:
        gurux = self._client.client
        try:
            self._client._ask(self._object.imageVerify(gurux))
        except GXDLMSException as error:
            assert error.errorCode == 2, error  # temporary failure: it goes on

    def activate(self) -> None:
        self._client._ask(self._object.imageActivate(self._client.client))

    def offered(self) -> tuple[int, bytes]:
        self._client.read(self._object, 7)
        (info,) = self._object.imageActivateInfo
        return info.size, bytes(info.identification)


class ByDlmsCosem:
    """Blocks of 64 octets: a length from 128 on is wrong in what it ciphers."""

    block_size = 64

    def __init__(self, meter: Running, link: str, identifier: bytes) -> None:
        self._identifier = identifier
        self._session = dlms_cosem(meter, "update", link)

    def __enter__(self) -> ByDlmsCosem:
        self._client = self._session.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._session.__exit__(*error)

    def drop(self) -> None:
        """The line is gone: nobody to say good-bye to."""
        self._client.transport.io.disconnect()

    def choose_blocks(self) -> None:
        """64 is the meter's own choice."""

    def _call(self, number: int, value: bytes) -> None:
        interface = enumerations.CosemInterface(18)
        method = cosem.CosemMethod(interface, cosem.Obis.from_string(TRANSFER), number)
        self._client.action(method, value)

    def _read(self, number: int) -> Any:
        return axdr.decode(bytes(self._client.get(attribute(18, TRANSFER, number))))

    def initiate(self, size: int) -> None:
        assert self._read(2) == self.block_size
        head = b"\x02\x02\x09" + bytes((len(self._identifier),)) + self._identifier
        self._call(1, head + b"\x06" + struct.pack(">I", size))

    def put(self, number: int, block: bytes) -> None:
        head = b"\x02\x02\x06" + struct.pack(">I", number) + b"\x09" + bytes((len(block),))
        self._call(2, head + block)

    def there(self) -> str:
        return str(self._read(3))

    def first_missing(self) -> int:
        return int(self._read(4))

    def status(self) -> int:
        return int(self._read(6))

    def verify(self) -> None:
        try:
            self._call(3, b"\x0f\x00")
        except Exception as error:
            assert "TEMPORARY_FAILURE" in str(error), error

    def activate(self) -> None:
        self._call(4, b"\x0f\x00")

    def offered(self) -> tuple[int, bytes]:
        ((size, identifier, _),) = self._read(7)
        return size, identifier


CLIENTS = {"gurux": ByGurux, "dlms-cosem": ByDlmsCosem}


def transfer(
    meter: Running,
    name: str,
    link: str,
    image: bytes,
    cut: Callable[[], None],
    part: int,
) -> tuple[int, list[int]]:
    """The image into the meter, whose power `cut` takes after `part` blocks.

    Gives how many blocks it has, and those that the second client found missing.
    """
    client = CLIENTS[name]
    identifier = f"{name}-{len(image)}".encode()
    size = client.block_size
    blocks = [image[at : at + size] for at in range(0, len(image), size)]
    # Out of order: the odd ones first, from behind.
    order = [*range(1, len(blocks), 2)][::-1] + [*range(0, len(blocks), 2)]
    first = client(meter, link, identifier)
    first.__enter__()
    first.choose_blocks()
    first.initiate(len(image))
    for number in order[:part]:
        first.put(number, blocks[number])
    cut()
    first.drop()
    second = client(meter, link, identifier)
    second.__enter__()
    second.initiate(len(image))
    there = second.there()
    assert len(there) == len(blocks)
    missing = [number for number, bit in enumerate(there) if bit == "0"]
    assert second.first_missing() == missing[0]
    for number in reversed(missing):
        second.put(number, blocks[number])
    assert second.there() == "1" * len(blocks)
    second.verify()
    while second.status() == VERIFYING:
        time.sleep(0.05)
    assert second.status() == VERIFIED
    assert second.offered() == (len(image), identifier)
    second.activate()
    second.drop()
    return len(blocks), missing
