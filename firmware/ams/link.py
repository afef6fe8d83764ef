"""The two-way link of a meter: DLMS/COSEM on the service port and on TCP.

Channel 0 is the service port (HDLC, behind the start of an optical head), the
others are TCP connections (wrapper). The board says what comes and goes on each;
what the meter has to say goes out through `board.link_write(channel, view)`, which
gives how many octets it took (None: all), and `board.link_close(channel)`. Who moves
the octets of a service port that is a UART says so by `has_line`.
"""

from micropython import const

from ams.cosem.hdlc import HdlcLink
from ams.cosem.keyring import Keyring
from ams.cosem.mode_e import OpticalFront
from ams.cosem.server import CHANNELS, SERVER_SAP, Server
from ams.events.events import SERVICE_LINE_BACK, SERVICE_LINE_HELD
from ams.faults import LINK
from ams.storage.layout import SECURITY, UPDATE

SERVICE = const(0)
# TCP connections that a client with keys keeps where others want one.
_EACH = const(2)
_FLAG_ID = "OAM"
# A board's milliseconds wrap here (time.ticks_ms).
_WRAP = const(0x3FFFFFFF)
# A line that stands at space for so long without an octet is in break, one that leaves it for so
# long is back; what comes and goes is told of once an hour.
_BREAK_MS = const(1000)
_QUIET_MS = const(3600000)


class LineWatch:
    """Tells of a break at the service port. `log(code, detail, extra)` enters an event."""

    def __init__(self, log):
        self._log = log
        self._held = False
        self._told = False
        self._since_ms = None  # from when on each look found the other state
        self._begun_ms = 0
        self._quiet_to_ms = 0

    def look(self, held, now_ms):
        """As it stands at this moment, some times a second; not while octets come."""
        if held == self._held:
            self._since_ms = None
        elif self._since_ms is None:
            self._since_ms = now_ms
        elif now_ms - self._since_ms >= _BREAK_MS:
            self._held = held
            if held:
                self._begins(now_ms)
            elif self._told:
                self._told = False
                self._log(SERVICE_LINE_BACK, (self._since_ms - self._begun_ms) // 1000)
            self._since_ms = None

    def _begins(self, now_ms):
        self._begun_ms = self._since_ms
        if now_ms >= self._quiet_to_ms:
            self._quiet_to_ms = now_ms + _QUIET_MS
            self._told = True
            self._log(SERVICE_LINE_HELD)

    def heard(self):
        """Octets came: it is no break yet."""
        if not self._held:
            self._since_ms = None


def make_link(meter, board, security, log):
    """The link of a meter, and the update of its firmware where the board has slots."""
    if not meter.nv_memory.takes(SECURITY):
        security = None
    cells = meter.nv_memory.cells(SECURITY)
    identity = meter.identity
    link = MeterLink(
        board, meter.model, cells, security, log, identity.meter_type, identity.meter_id
    )
    link.keyring.lent = meter.han_settings.keys
    numbers = link.keyring.numbers
    numbers.say = board.log
    # Who holds the keystore, if there is anybody: gives a range by `numbers.extend`, soon or now.
    numbers.more = getattr(board, "more_numbers", None)
    link.server.complain = lambda text: meter.faults.tell(LINK, text)
    if getattr(board, "slots", None) is not None and meter.nv_memory.takes(UPDATE):
        from ams.update.meter_updater import make_updater

        meter.updater = make_updater(meter, board, link, security or {})
    return link


class MeterLink:
    """`model` has the objects, `cells` keep keys and counters (see Keyring).

    `log(code, detail, extra)` enters an event, `name` is what an optical head reads,
    `address` what it may call the meter by.
    """

    def __init__(self, board, model, cells, config, log, name="", address=""):
        self._board = board
        self.keyring = Keyring(cells, config)
        self.server = Server(model, self.keyring, board.entropy, log, board.log)
        self.hdlc = HdlcLink(self.server, self._write_service, SERVICE, devices=(SERVER_SAP,))
        self.service = OpticalFront(self.hdlc, self._write_service, None, _FLAG_ID, name, address)
        # Each made for its first connection: a board without a network has none.
        self.tcp = [None] * (CHANNELS - 1)
        self._watch = LineWatch(log)
        self.one_at_a_time = False  # messages of a connection: who feeds them feeds the rest again
        self._tcp_inactivity_s = 120
        self._dialled = [None] * len(self.tcp)  # client of each connection of our own
        self.work = None  # what is done a piece at a time beside the links
        self._ticks = None
        self._now_ms = 0

    def has_line(self, line, room, sending=None):
        """The service port is a UART: `line(baud, bits, parity, stop)` sets it.

        `room`: octets that can be written to it at a time; `sending()`: whether any of them
        are still on their way.
        """
        self.service.line = line
        self.hdlc.sending = sending
        self.hdlc.parameters.turn = room
        self.server.model.set_up_link()
        self.service.start()

    def _write_service(self, data):
        self._board.link_write(SERVICE, data)

    def line_stands(self, held, ticks_ms):
        """How the line of the service port stands between two octets."""
        self._watch.look(held, self._now(ticks_ms))

    def set_tcp_inactivity(self, seconds):
        self._tcp_inactivity_s = seconds
        for link in self.tcp:
            if link is not None:
                link.inactivity_ms = seconds * 1000

    def _open(self, channel):
        """A connection of TCP is there."""
        k = channel - 1
        link = self.tcp[k]
        if link is None:
            from ams.cosem.wrapper import WrapperLink

            link = self.tcp[k] = WrapperLink(self.server, channel)
            link.inactivity_ms = self._tcp_inactivity_s * 1000
            link.one_at_a_time = self.one_at_a_time
        link.open(self._writer(channel), self._closer(channel), self._now_ms)
        return link

    def _writer(self, channel):
        board = self._board
        return lambda data: board.link_write(channel, data)

    def _closer(self, channel):
        return lambda: self._close(channel)

    def _close(self, channel):
        self._dialled[channel - 1] = None
        self._board.link_close(channel)

    def _is_free(self, k):
        return self.tcp[k] is None or self.tcp[k].free

    def _now(self, ticks_ms):
        """Milliseconds that only grow, of ticks that wrap."""
        if self._ticks is not None:
            self._now_ms += (ticks_ms - self._ticks) & _WRAP
        self._ticks = ticks_ms
        return self._now_ms

    # --- what the meter says unasked ------------------------------------------------

    def connect(self, destination, sap):
        """Asks the board for a connection to a destination ("host:port"), for messages to a client.

        Gives its channel, or None: there is none free, or the board connects nowhere.
        """
        connect = getattr(self._board, "link_connect", None)
        if connect is None:
            return None
        for k in range(len(self.tcp)):
            if self.is_dialled(k + 1):
                return k + 1
        channel = self._free_channel()
        if channel is None or not connect(channel, destination):
            return None
        self._dialled[channel - 1] = sap
        return channel

    def _free_channel(self):
        """A TCP channel that nobody has; or that of one who gives way, or None."""
        for k in range(len(self.tcp)):
            if self._is_free(k) and self._dialled[k] is None:
                return k + 1
        channel = self.dispensable()
        if channel is not None:
            self._drop(channel)
        return channel

    def is_dialled(self, channel):
        """Whether a connection that was asked for is there."""
        return self._dialled[channel - 1] is not None and not self._is_free(channel - 1)

    def flush(self):
        """What waits to be said goes now."""
        self.hdlc.tick(self._now_ms)
        self._tick_tcp(self._now_ms)

    def _tick_tcp(self, now_ms):
        for link in self.tcp:
            if link is not None:
                link.tick(now_ms)

    # --- what the board says -------------------------------------------------------

    def greeted(self, said, ms):
        """Of a TCP connection that has no channel: whether what it `said` is to be served.

        None: more is to come. False: it goes, since it said what is no message, or took longer
        than these `ms` may be.
        """
        from ams.cosem.wrapper import MESSAGE_MS, opening

        if not said:
            return None if ms <= self._tcp_inactivity_s * 1000 else False
        wanted = opening(said)
        if wanted is None or len(said) >= wanted:
            return wanted is not None
        return None if ms <= MESSAGE_MS else False

    def dispensable(self, keyed=True):
        """The TCP channel that gives way to a new connection where none is free, or None.

        Whoever has shown keys stays, with two connections of one client; and any number of them
        if not `keyed`. Of the others those who said nothing go first, then the oldest: neither
        silence nor talk without keys, nor the keys of one client, keep the others' keys out.
        """
        chosen = least = None
        for k, link in enumerate(self.tcp):
            if self._is_free(k) or self._dialled[k] is not None:
                continue
            association = self.server.associations[k + 1]
            shown = association.ciphered
            if shown and not (keyed and self._connections_of(association.client) > _EACH):
                continue
            rank = (shown, link.heard, link.opened_ms)
            if least is None or rank < least:
                chosen, least = k + 1, rank
        return chosen

    def has_shown_keys(self, channel):
        """Whether whoever is on a channel opened with keys, by a number that was fresh."""
        return self.server.associations[channel].ciphered

    def _connections_of(self, client):
        count = 0
        for k in range(len(self.tcp)):
            association = self.server.associations[k + 1]
            count += association.ciphered and association.client is client
        return count

    def opened(self, channel):
        """A TCP connection was taken."""
        if channel != SERVICE:
            self._dialled[channel - 1] = None
            self._open(channel)

    def connected(self, channel):
        """A connection that `connect` asked for is there."""
        sap = self._dialled[channel - 1]
        if sap is None:
            self._close(channel)
            return
        self._open(channel).expect(sap, SERVER_SAP)

    def feed(self, channel, data, ticks_ms):
        """Octets came; gives how many were taken. TCP takes none while an answer is on its way."""
        now_ms = self._now(ticks_ms)
        try:
            if channel == SERVICE:
                self._watch.heard()
                self.service.feed(data, now_ms)
                return len(data)
            link = self.tcp[channel - 1]
            return len(data) if link is None else link.feed(data, now_ms)
        except Exception as error:
            # Whatever is wrong in here, the client begins anew and the meter goes on.
            self.server.fault("channel %d: %r" % (channel, error))
            self._drop(channel)
            return len(data)

    def _drop(self, channel):
        if channel != SERVICE:
            self._close(channel)
        self.closed(channel)

    def closed(self, channel):
        """The client is gone."""
        if channel == SERVICE:
            self.service.end_readout()
            self.hdlc.drop()
        else:
            self._dialled[channel - 1] = None
            if self.tcp[channel - 1] is not None:
                self.tcp[channel - 1].closed()

    def poll(self, ticks_ms, work=True):
        """Time-outs, and what the meter sends unasked; some times a second. `work`: something of
        the next answer may be made meanwhile; gives whether it was, so that more may be to do."""
        now_ms = self._now(ticks_ms)
        self._tick(self.service, SERVICE, now_ms)
        prepared = work and self.hdlc.answering and self.server.prepare(SERVICE)
        for k, link in enumerate(self.tcp):
            if link is not None:
                self._tick(link, k + 1, now_ms)
        if self.work is not None:
            try:
                self.work(now_ms)
            except Exception as error:
                # A flash that takes nothing has been told, and is tried again.
                if not getattr(error, "told", False):
                    self.server.fault("update: %r" % error)
        return prepared

    def _tick(self, link, channel, now_ms):
        try:
            link.tick(now_ms)
        except Exception as error:
            self.server.fault("channel %d: %r" % (channel, error))
            self._drop(channel)
