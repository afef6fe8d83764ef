"""A TCP listener and its connections that never wait; on CPython and MicroPython."""

import socket

from micropython import const

from ams.hal import Network

_AGAIN = (11, 35)  # EAGAIN on Linux and lwIP, on BSD
_BACKLOG = const(2)
# What a peer that does not read may leave with us.
_UNSENT_MOST = const(4096)


class Connection:
    def __init__(self, peer):
        peer.setblocking(False)
        self._peer = peer
        # MicroPython's sockets are streams.
        self._read = peer.readinto if hasattr(peer, "readinto") else peer.recv_into
        self._send = peer.write if hasattr(peer, "write") else peer.send
        self._unsent = bytearray()

    def readinto(self, buffer):
        """Octets that came: their number, None when there are none, 0 when the peer is gone."""
        try:
            if self._unsent:
                self._push()
            return self._read(buffer)
        except OSError as error:
            return None if error.args[0] in _AGAIN else 0

    def write(self, data):
        """Sends, or keeps what does not go yet. Raises OSError when the peer takes nothing."""
        if len(self._unsent) + len(data) > _UNSENT_MOST:
            raise OSError(11)
        self._unsent.extend(data)
        self._push()

    def _push(self):
        try:
            sent = self._send(self._unsent)
        except OSError as error:
            if error.args[0] not in _AGAIN:
                raise
            return
        if sent:
            self._unsent = self._unsent[sent:]

    def close(self):
        self._peer.close()


class Listener(Network):
    def __init__(self, port, address="0.0.0.0"):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(socket.getaddrinfo(address, port)[0][-1])
        self._socket.listen(_BACKLOG)
        self._socket.setblocking(False)

    def accept(self):
        try:
            peer, _ = self._socket.accept()
        except OSError:
            return None
        return Connection(peer)

    def close(self):
        self._socket.close()
