"""A UDP port that never waits; on CPython and MicroPython."""

import socket

from ams.hal import Datagrams


class Port(Datagrams):
    def __init__(self, port, address="0.0.0.0"):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(socket.getaddrinfo(address, port)[0][-1])
        self._socket.setblocking(False)

    def receive(self, buffer):
        try:
            data, sender = self._socket.recvfrom(len(buffer))
        except OSError:
            return None
        buffer[: len(data)] = data
        return len(data), sender

    def send(self, data, to):
        try:
            self._socket.sendto(data, to)
        except OSError:
            pass

    def close(self):
        self._socket.close()
