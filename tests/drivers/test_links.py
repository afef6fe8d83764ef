"""Octets between the service port, TCP peers and the meter's link, on both Pythons."""

from __future__ import annotations

import socket

SCRIPT = """
import socket
from drivers.links import Links
from drivers.tcp import Listener
from wiring import board
from drivers import line

PORT = {port}

class Echo:
    # The meter's link as far as the carrier knows it: answers twice what it gets.
    def __init__(self):
        self.log = []
        self.gives_way = None
    def feed(self, channel, data, ticks_ms):
        data = bytes(data)
        self.log.append((channel, data))
        if data == b"bye":
            links.close(channel)
        else:
            links.write(channel, data + data)
    def has_line(self, line, room):
        self.line = line
        line(9600, 8, None, 1)
    def opened(self, channel):
        self.log.append((channel, "opened"))
    def connected(self, channel):
        self.log.append((channel, "connected"))
        links.write(channel, b"hello")
    def closed(self, channel):
        self.log.append((channel, "closed"))
    def poll(self, ticks_ms):
        pass
    def dispensable(self):
        return self.gives_way

class Line(line.Line):
    sent = True
    def __init__(self):
        super().__init__(1, None, None, 480, 256, 32)
    def idle(self):
        return self.sent

def connect():
    peer = socket.socket()
    peer.connect(socket.getaddrinfo("127.0.0.1", PORT)[0][-1])
    return peer

def turn(times=20):
    for _ in range(times):
        links.poll(0)

echo = Echo()
listener = Listener(PORT, "127.0.0.1")
links = Links(echo, Line(), listener)
print(board.line(1).line)
board.line(1).waiting.extend(b"abc")
turn()
print(bytes(board.line(1).sent), board.now_us)
# More than the line takes at once, and another rate behind it.
Line.sent = False
links.write(0, bytes(300))
links.write(0, bytes(300))
links.write(0, bytes(300))
echo.line(115200, 8, None, 1)
turn()
counts = [len(board.line(1).sent)]
Line.sent = True
for _ in range(3):
    links.poll(0)
    counts.append((len(board.line(1).sent), board.line(1).line[0]))
print(counts, links.busy(299), links.busy(300))
first, second = connect(), connect()
turn()
second.send(b"two")
first.send(b"one")
turn()
print(first.recv(20), second.recv(20))
first.send(b"bye")
turn()
print(first.recv(20))
second.close()
turn()
many = []
for _ in range(5):
    many.append(connect())
    turn(3)
print(many[4].recv(20))
many[3].send(bytes(200))
turn()
print(len(many[3].recv(500)))
print(echo.log)
echo.gives_way = 2
sixth = connect()
turn(3)
sixth.send(b"six")
turn()
print(sixth.recv(20), echo.log[-3:])
many[4] = sixth
links.write(2, b"x" * 4096)
# One who never reads: what he would have to keep is not kept for ever.
for _ in range(3000):
    links.write(3, b"y" * 4096)
print(echo.log[-1])
for peer in many:
    peer.close()
turn()
# A connection of our own; one to nobody; a name, which would wait.
there = socket.socket()
there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
there.bind(socket.getaddrinfo("127.0.0.1", {other})[0][-1])
there.listen(1)
dialled = [links.connect(1, b"127.0.0.1:{other}"), links.connect(2, b"127.0.0.1:{other}")]
turn()
taken = there.accept()[0]
heard = taken.recv(20)
there.close()
dialled.append(links.connect(2, b"127.0.0.1:1"))
turn()
dialled.append(links.connect(2, b"meter.example:4059"))
print(dialled, heard, echo.log[-2:])
listener.close()
"""


def test_service_port_and_tcp(twin):
    with socket.socket() as free, socket.socket() as also_free:
        free.bind(("127.0.0.1", 0))
        also_free.bind(("127.0.0.1", 0))
        port, other = free.getsockname()[1], also_free.getsockname()[1]
    out = twin(SCRIPT.format(port=port, other=other)).splitlines()
    assert out[0] == "(9600, 8, None, 1)"
    # Nothing waits for octets that have not come: the sampling would stand still.
    assert out[1] == "b'abcabc' 0"
    assert out.pop(2) == "[512, (906, 9600), (906, 115200), (906, 115200)] True False"
    assert out[2] == "b'oneone' b'twotwo'"
    assert out[3] == "b''", "the meter closed it"
    assert out[4] == "b''", "no fifth"
    assert out[5] == "400"
    assert "(2, 'closed')" in out[6] and "(1, 'closed')" not in out[6]
    assert out[7] == "b'sixsix' [(2, 'closed'), (2, 'opened'), (2, b'six')]"
    assert out[8] == "(3, 'closed')"
    assert out[-1] == ("[True, False, True, False] b'hello' [(1, 'connected'), (2, 'closed')]")
