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
        self.takes = None
        self.keys = False
    def feed(self, channel, data, ticks_ms):
        data = bytes(data)
        self.log.append((channel, data))
        if data == b"bye":
            links.close(channel)
        else:
            links.write(channel, data + data)
        return self.takes
    def greeted(self, said, ms):
        # Three octets are a message; "no" is none, and what is not whole in a second goes.
        if said[:2] == b"no":
            return False
        return True if len(said) > 2 else None if ms < 1000 else False
    def has_shown_keys(self, channel):
        return self.keys
    def has_line(self, line, room, sending):
        self.line = line
        self.sending = sending
        line(9600, 8, None, 1)
    def opened(self, channel):
        self.log.append((channel, "opened"))
    def connected(self, channel):
        self.log.append((channel, "connected"))
        links.write(channel, b"hello")
    def closed(self, channel):
        self.log.append((channel, "closed"))
    def poll(self, ticks_ms, work=True):
        pass
    def dispensable(self, keyed=True):
        return self.gives_way if keyed else None

class Line(line.Line):
    sent = True
    def __init__(self):
        super().__init__(1, None, None, 480, 256, 32)
    def idle(self):
        return self.sent

SO_RCVBUF = 8

def connect(room=None):
    peer = socket.socket()
    if room is not None:
        peer.setsockopt(socket.SOL_SOCKET, SO_RCVBUF, room)
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
# Nothing is read meanwhile, and what waits has an end.
board.line(1).waiting.extend(b"def")
turn()
counts = [len(board.line(1).sent), echo.sending()]
for _ in range(100):
    links.write(0, bytes(300))
print(len(links._unsent), len(board.line(1).waiting))
links._unsent = links._unsent[:394]
Line.sent = True
for _ in range(3):
    links.poll(0)
    counts.append((len(board.line(1).sent), board.line(1).line[0]))
print(counts, links.busy(299), links.busy(300), echo.log.pop())
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
for _ in range(4):
    # The last one has little room: how much more a system takes for it is the system's.
    many.append(connect(4096 if len(many) == 3 else None))
    many[-1].send(b"hey")
    turn(3)
    many[-1].recv(6)
# Where nobody gives way nobody is let in.
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
sixth.send(b"si")
turn(3)
print(echo.log[-1][0], len(links._guests))
sixth.send(b"x")
turn()
print(sixth.recv(20), echo.log[-3:])
many[4] = sixth
# One who never reads: nothing of what he would have to hear is kept.
taken = [links.write(4, b"y" * 4096)]
while taken[-1] and len(taken) < 20000:
    taken.append(links.write(4, b"y" * 4096))
print(taken[0], taken[-1])
# Nor is he read while he does not take his answer.
echo.takes = 2
many[3].send(b"12345")
turn(2)
print(echo.log[-1], bytes(links._left[4]))
turn(1)
echo.takes = None
turn(1)
print(echo.log[-1], links._left[4])
# Guests who say nothing whole, or nonsense.
nonsense, slow = connect(), connect()
nonsense.send(b"nonsense")
slow.send(b"sl")
turn(3)
print(nonsense.recv(20), len(links._guests))
links.poll(999)
links.poll(1000)
print(slow.recv(20), len(links._guests))
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
    assert out.pop(2) == "1894 3"
    assert out.pop(2) == (
        "[512, True, (906, 9600), (912, 115200), (912, 115200)] True False (0, b'def')"
    )
    assert out[2] == "b'oneone' b'twotwo'"
    assert out[3] == "b''", "the meter closed it"
    assert out[4] == "b''", "no fifth"
    assert out[5] == "400"
    assert "(2, 'closed')" in out[6] and "(1, 'closed')" not in out[6]
    assert out[7] == "4 1", "two octets are no message"
    assert out[8] == "b'sixsix' [(2, 'closed'), (2, 'opened'), (2, b'six')]"
    assert out[9] == "4096 0"
    assert out[10] == "(4, b'345') b'5'"
    assert out[11] == "(4, b'5') b''"
    assert out[12] == "b'' 1" and out[13] == "b'' 0"
    assert out[-1] == ("[True, False, True, False] b'hello' [(1, 'connected'), (2, 'closed')]")
