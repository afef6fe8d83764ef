"""Uses a server hard and prints what it took of the heap; run on the VM by test_server_heap."""

import gc
import struct

from dlms import GET_LONG, GET_REGISTER, Bench, Long, Public, Raw


def block(number, data, last):
    return struct.pack(">BBHHB", 0xE0, 0x81 if last else 1, number, 0, len(data)) + data


def turn(bench, k):
    """Every kind of request once: served, refused, given up half-way."""
    for channel in range(5):
        client = Raw(bench, counter=bench.keyring.client(1).keys.next_in, channel=channel)
        client.pdu_size = 128
        client.associate()
        client.ask(GET_REGISTER)
        client.ask(GET_LONG)
        client.ask(b"\xc0\x02\xc1\x00\x00\x00\x01")
        client.ask(b"\xc0\x03\xc1\x01" + GET_REGISTER[3:])
        client.ask(b"\xc1\x02\xc1" + GET_LONG[3:12] + b"\x00\x00\x00\x00\x00\x01\x02\x09\x40")
        client.send(block(1, b"ab", False))
        client.ask(b"\xc3\x01\xc1" + GET_LONG[3:11] + b"\x02\x00")
        client.send(client.seal(0xC8, GET_REGISTER, counter=1))
        client.send(bytes((k & 0xFF,)) * (k % 700 + 1))
        if k & 1:
            bench.server.disconnected(channel)
    Public(bench, 2).associate().ask(GET_LONG)
    for _ in range(7):
        stranger = Raw(bench, keys=(bytes(16), bytes(16)))
        stranger.send(stranger.aarq())
    bench.now_ms += 100000
    Long.calls = []


def used():
    gc.collect()
    return gc.mem_alloc()


def main(turns=60):
    before = used()
    bench = Bench()
    made = used()
    bench.events = Nothing()
    bench.cells.sets = Nothing()
    warm = 0
    for k in range(4):
        turn(bench, k)
        warm = max(warm, used())
    most = 0
    for k in range(turns):
        turn(bench, k)
        most = max(most, used())
    # What one request takes on the way, when nothing is collected.
    client = Raw(bench, counter=bench.keyring.client(1).keys.next_in, channel=2).associate()
    request = memoryview(bytearray(client.seal(0xC8, GET_REGISTER)))
    bench.keyring.accept(bench.keyring.client(1), client_keys(bench), client.counter - 2, False)
    gc.collect()
    gc.disable()
    at = gc.mem_alloc()
    answer = bench.server.request(2, 1, 1, request, bench.now_ms)
    transient = gc.mem_alloc() - at
    gc.enable()
    assert answer[0] == 0xCC and not bench.complaints
    print(made - before, warm - before, most - before, transient)


def client_keys(bench):
    return bench.keyring.client(1).keys


class Nothing:
    def append(self, _):
        pass


main()
