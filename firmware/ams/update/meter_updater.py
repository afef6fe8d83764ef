"""The meter's own part of an update: what an image is held against, the events, the self-test."""

import binascii

from micropython import const

import ams
from ams.clock.local import STATUS_INVALID
from ams.clock.own_time import ORDERS
from ams.events import events as ev
from ams.storage import layout
from ams.update import switch
from ams.update.image import version_numbers
from ams.update.slots import slots
from ams.update.updater import Updater, release_key
from ams.update.verify import Terms

PRODUCT = b"openams"
# An image on trial that is not well after so long is given up.
TRIAL_MS = const(30000)
# So much must have been measured since the start, and something since it was last asked.
_WELL_MS = const(3000)
# How often that is asked: the longest window is 200 ms, a metering IC may take a second.
_ASK_MS = const(1500)
# How long the answer to the activation may take to go out.
_RESTART_MS = const(500)
# A public client asks for an association (Green Book, AARQ without ciphering).
_AARQ = (
    b"\x60\x1d\xa1\x09\x06\x07\x60\x85\x74\x05\x08\x01\x01\xbe\x10\x04\x0e"
    b"\x01\x00\x00\x00\x06\x5f\x1f\x04\x00\x00\x10\x10\xff\xff"
)
_AARE = const(0x61)
_PUBLIC = const(16)

_EVENTS = {
    switch.ACTIVATED: ev.FIRMWARE_ACTIVATED,
    switch.ROLLED_BACK: ev.FIRMWARE_ROLLED_BACK,
    switch.DAMAGED: ev.FIRMWARE_DAMAGED,
}


def make_updater(meter, board, link, security):
    """The updater of a meter, which works beside the links."""
    own = MeterUpdater(meter, board, link, security)
    link.work = own.poll
    return own.updater


class MeterUpdater:
    def __init__(self, meter, board, link, security):
        self._meter = meter
        self._link = link
        self._board = board
        cells = meter.nv_memory.cells(layout.UPDATE)
        given = security.get("release_key")
        keyring = link.keyring
        self._started = getattr(board, "started", None)
        base = self._started.base if self._started is not None else None
        terms = Terms(
            PRODUCT,
            board.name.encode(),
            # An image holds what is new to the base, whatever runs from a slot now.
            version_numbers(base or ams.__version__),
            ams.STATE_FORMAT,
            keyring.title,
            keyring.secret("update"),
            release_key(cells, binascii.unhexlify(given) if given else None),
            self._now_s,
        )
        terms.security = ams.SECURITY_VERSION
        places = slots(board.slots)
        for slot in places.values():
            slot.ahead = meter.nv_memory.eraser
        which = None
        halves = getattr(board, "halves", None)
        if halves is not None:
            from ams.update.halves import HalfSwitch

            which = HalfSwitch(*halves)
        self.updater = Updater(cells, places, terms, self._refused, self._ready, which)
        self._started_ms = None
        self._restart_ms = None
        self._asked_ms = 0
        self._measured_ms = 0

    def _now_s(self):
        """None while the clock is not to be trusted. Setting it revives and ends nothing."""
        meter = self._meter
        if meter.clock.status & STATUS_INVALID:
            return None
        return meter.own_time.of(ORDERS, meter.raw_ms) // 1000

    def _log(self, code, detail=0):
        self._meter.events.log(self._meter.utc_ms, code, detail)

    def _refused(self, reason):
        self._log(ev.FIRMWARE_REFUSED, reason)

    def _ready(self):
        self._log(ev.FIRMWARE_READY, self.updater.image.security)

    def _tell(self):
        """Enters what the start before the meter's own has found."""
        code = _EVENTS.get(self.updater.switch.untold)
        if code is not None:
            self._log(code, self.updater.switch.confirmed)
            self.updater.switch.told()

    # --- beside the measuring ------------------------------------------------------------

    def poll(self, now_ms):
        """Some times a second, `now_ms` of the links' clock: a piece of what is under way."""
        updater = self.updater
        if updater.switch.untold:
            self._tell()
        if updater.busy:
            updater.step()
        if updater.restart:
            if self._restart_ms is None:
                self._restart_ms = now_ms + _RESTART_MS
            elif now_ms >= self._restart_ms:
                self._restart()
        elif updater.switch.trial or updater.switch.tries:
            self._try(now_ms)

    def _try(self, now_ms):
        """An image on trial stays when the meter measures, stores and answers."""
        on_trial = self.updater.switch.trial
        if self._started_ms is None:
            self._started_ms = self._asked_ms = now_ms
        if on_trial and now_ms - self._started_ms > TRIAL_MS:
            self._restart()
        elif now_ms - self._asked_ms >= _ASK_MS:
            self._asked_ms = now_ms
            if not self.is_well(now_ms):
                return
            if not on_trial:
                self.updater.switch.heal()
                return
            self.updater.confirm()
            if self._started is not None:
                self._started.confirmed()

    def is_well(self, now_ms):
        meter = self._meter
        before = self._measured_ms
        self._measured_ms = meter.measured_ms
        if meter.measured_ms < _WELL_MS or meter.measured_ms == before:
            return False
        if not meter.nv_memory.writable or meter.nv_memory.failed:
            return False
        return self._answers(now_ms)

    def _answers(self, now_ms):
        """Whether the server takes an opening, asked on a channel that nobody uses."""
        server = self._link.server
        for association in server.associations:
            if association.channel and association.state == 0:
                channel = association.channel
                answer = server.request(channel, _PUBLIC, 1, bytearray(_AARQ), now_ms)
                good = answer is not None and answer[0] == _AARE
                server.disconnected(channel)
                return good
        # All four connections are in use: it has answered.
        return True

    def _restart(self):
        self.updater.restart = False
        self._restart_ms = None
        self._meter.stop()
        restart = getattr(self._board, "restart", None)
        if restart is not None:
            restart()
