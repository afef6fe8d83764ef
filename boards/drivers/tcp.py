"""A TCP listener and its connections that never wait; on CPython and MicroPython."""

import select
import socket

from micropython import const

from ams.hal import Network

AGAIN = (11, 35)  # EAGAIN on Linux and lwIP, on BSD
# EINPROGRESS on Linux, ESP-IDF and BSD.
_IN_PROGRESS = (115, 119, 36)
# The network has no more connections to give: ENFILE, EMFILE, ENOMEM, ENOBUFS.
_NO_MORE = (23, 24, 12, 105)
_BACKLOG = const(2)


class Connection:
    def __init__(self, peer, address=None):
        self.address = address
        peer.setblocking(False)
        self._peer = peer
        # MicroPython's sockets are streams.
        self._read = peer.readinto if hasattr(peer, "readinto") else peer.recv_into
        self._send = peer.write if hasattr(peer, "write") else peer.send

    def readinto(self, buffer):
        """Octets that came: their number, None when there are none, 0 when the peer is gone."""
        try:
            return self._read(buffer)
        except OSError as error:
            return None if error.args[0] in AGAIN else 0

    def write(self, data):
        """Gives how many octets went: who does not read keeps nothing waiting here.

        Raises OSError when the peer is gone.
        """
        try:
            return self._send(data) or 0
        except OSError as error:
            if error.args[0] not in AGAIN:
                raise
            return 0

    def close(self):
        self._peer.close()


class Dialled:
    """A connection of our own on its way. Raises OSError or ValueError."""

    def __init__(self, destination, tls=None):
        self._tls = tls
        address, port = destination.rsplit(":", 1)
        if address.strip("0123456789."):
            raise ValueError("a name: to look it up would wait")
        self._socket = socket.socket()
        self._socket.setblocking(False)
        try:
            self._socket.connect(socket.getaddrinfo(address, int(port))[0][-1])
        except OSError as error:
            if error.args[0] not in _IN_PROGRESS:
                self._socket.close()
                raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLOUT)

    def peer(self):
        """The Connection, or None while it is not there. Raises OSError."""
        for entry in self._poll.poll(0):
            if entry[1] & (select.POLLERR | select.POLLHUP):
                self._socket.close()
                raise OSError(111)
            if self._tls is None:
                return Connection(self._socket)
            from drivers.tls import TlsConnection

            return TlsConnection(self._socket, *self._tls)
        return None

    def close(self):
        self._socket.close()


class Dialler(Network):
    """Connections of our own alone."""

    def dial(self, destination, tls=None):
        return Dialled(destination, tls)


class Listener(Dialler):
    def __init__(self, port, address="0.0.0.0"):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(socket.getaddrinfo(address, port)[0][-1])
        self._socket.listen(_BACKLOG)
        self._socket.setblocking(False)

    def accept(self):
        try:
            peer, address = self._socket.accept()
        except OSError as error:
            if error.args[0] in _NO_MORE:
                raise
            return None
        # What a VM gives is a tuple, or octets of one.
        return Connection(peer, address[0] if isinstance(address, tuple) else bytes(address[4:8]))

    def close(self):
        self._socket.close()
