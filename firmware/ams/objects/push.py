"""What the meter sends unasked: the last intervals on schedule, alarms when they are raised.

A message is left with the server, which sends it when the link can take it: on the service
port when the client gives it the line, or unasked if the destination names a client. Nothing
here waits. Times are the board's, so that a clock that is set neither loses nor repeats a
message.
"""

from micropython import const

from ams.objects.push_setup import TRANSPORT_HDLC

INTERVALS = const(0)
ALARMS = const(1)
_SETUPS = (b"\x00\x00\x19\x09\x00\xff", b"\x00\x04\x19\x09\x00\xff")
_SERVICE = const(0)
_READER_SAP = const(2)
# When a communication window is shut, and while a connection is made.
_AGAIN_MS = const(60000)
_CONNECT_MS = const(1000)
_CONNECT_TRIES = const(20)
NEVER = const(1 << 60)


class Push:
    """`random(n)` gives n octets."""

    def __init__(self, model, random):
        self._model = model
        self._random = random
        self._due_ms = [NEVER, NEVER]
        self._tries = [0, 0]
        self._dialled = [None, None]  # channel of the connection that was asked for
        self._waits = [0, 0]  # how often it was looked for since
        self.sent = [0, 0]  # messages handed to a link
        self.failed = [0, 0]  # messages given up

    def _setup(self, which):
        return self._model.find(40, _SETUPS[which])[0]

    def ask(self, which, at_once=False):
        """A message is due, now or within the time that randomisation gives. False: one waits."""
        which = ALARMS if which else INTERVALS
        if self._due_ms[which] != NEVER:
            return False
        setup = self._setup(which)
        delay_ms = 0
        most_ms = setup.randomisation_s() * 1000
        if most_ms and not at_once:
            delay_ms = int.from_bytes(self._random(4), "big") % (most_ms + 1)
        self._tries[which] = setup.retries() + 1
        self._due_ms[which] = self._model.meter.raw_ms + delay_ms
        self._model.wake()
        return True

    def due_ms(self):
        """By the board's clock."""
        return min(self._due_ms)

    def tick(self, raw_ms, utc_ms):
        for which in (INTERVALS, ALARMS):
            if raw_ms >= self._due_ms[which]:
                self._send(which, raw_ms, utc_ms)

    def _send(self, which, raw_ms, utc_ms):
        setup = self._setup(which)
        if not setup.is_open():
            self._due_ms[which] = raw_ms + _AGAIN_MS
            return
        if self._leave(which, setup, utc_ms):
            self.sent[which] += 1
            self._forget(which)
        elif self._dialled[which] is not None:
            self._due_ms[which] = raw_ms + _CONNECT_MS
        else:
            self._tries[which] -= 1
            if self._tries[which] <= 0:
                self.failed[which] += 1
                self._forget(which)
            else:
                self._due_ms[which] = raw_ms + max(setup.retry_delay_s() * 1000, 1)

    def _forget(self, which):
        self._due_ms[which] = NEVER
        self._dialled[which] = None
        self._waits[which] = 0

    def _leave(self, which, setup, utc_ms):
        """Whether the message could be left with the server."""
        link = self._model.meter.link
        if link is None:
            return False
        transport, destination = setup.destination()
        named = False
        sap = None
        if transport == TRANSPORT_HDLC:
            channel = _SERVICE
            if destination:
                # Said unasked to the client that is named; else it waits for the line.
                named = True
                sap = destination[0] >> 1
        elif destination:
            channel = self._dial(which, link, destination)
        else:
            channel = self._connected(link)
        if channel is None:
            return False
        if sap is None:
            sap = self._client_sap(link, channel)
        if sap is None:
            return False
        stamp = bytes(self._model.stamp.of(utc_ms, self._model.meter.clock.status))
        left = link.server.notify(
            channel, sap, setup.write, stamp, which, named, lambda: self.ask(which, True)
        )
        # One that still waits for the line says what is true when it goes.
        return left or channel == _SERVICE

    def _client_sap(self, link, channel):
        """For whom a message of a channel is ciphered: who is there, or the reader."""
        client = link.server.associations[channel].client
        if client is None or client.keys is None:
            client = link.keyring.client(_READER_SAP)
        return client.sap if client is not None and client.keys is not None else None

    def _connected(self, link):
        """A TCP channel with a client that is associated under keys, or None."""
        for k in range(len(link.tcp)):
            if link.server.is_open(k + 1):
                client = link.server.associations[k + 1].client
                if client is not None and client.keys is not None:
                    return k + 1
        return None

    def _dial(self, which, link, destination):
        """The channel of a connection to the destination, or None while there is none."""
        channel = self._dialled[which]
        if channel is None:
            self._dialled[which] = link.connect(destination, _READER_SAP)
            self._waits[which] = 0
            return None
        if link.is_dialled(channel):
            return channel
        self._waits[which] += 1
        if self._waits[which] >= _CONNECT_TRIES:
            self._dialled[which] = None
        return None

    def last_gasp(self, raw_ms, utc_ms):
        """The supply falls: what is to be said goes now or never."""
        self._forget(ALARMS)
        link = self._model.meter.link
        setup = self._setup(ALARMS)
        if link is not None and self._leave(ALARMS, setup, utc_ms):
            self.sent[ALARMS] += 1
            link.flush()
