"""What guessing costs: a delay that grows, for each client on each channel.

Five failures in a row close the door for a minute, each further one doubles
that, to an hour. A closed door never keeps the holder of the keys out: an
opening whose ciphering proves right and fresh passes it, since nobody else can
make one (see association). What it stops are passwords, and the work and the
log entries of those who have no key.

The height of the delay is kept; after a reset it runs anew from its start, so
that nothing is won by pulling the fuse.
"""

from micropython import const

from ams.events.token_bucket import TokenBucket

_FREE = const(5)
_FIRST_MS = const(60000)
_LONGEST_MS = const(3600000)
_LEVELS = const(7)
# Changes of the height that are stored: so many, then one in so long.
_STORED = const(32)
_STORE_EVERY_MS = const(300000)


def delay_ms(level):
    return min(_FIRST_MS << level - 1, _LONGEST_MS) if level else 0


class Lockout:
    """Times are those of a clock that is never set."""

    def __init__(self, keyring):
        self._keyring = keyring
        self._share = None  # of what may be stored
        self._doors = {}  # (channel, SAP): [failures in a row, level, closed until]

    def _door(self, channel, client, now_ms):
        key = (channel, client.sap)
        door = self._doors.get(key)
        if door is None:
            level = min(self._keyring.failures(client), _LEVELS)
            until = now_ms + delay_ms(level)
            door = self._doors[key] = [_FREE if level else 0, level, until]
        return door

    def closed(self, channel, client, now_ms):
        return now_ms < self._door(channel, client, now_ms)[2]

    def failures(self, channel, client, now_ms):
        return self._door(channel, client, now_ms)[0]

    def failed(self, channel, client, now_ms):
        """Counts a failure. While the door is closed more of them do not lengthen it."""
        door = self._door(channel, client, now_ms)
        door[0] += 1
        if door[0] < _FREE or now_ms < door[2]:
            return
        door[1] = min(door[1] + 1, _LEVELS)
        door[2] = now_ms + delay_ms(door[1])
        if door[1] > self._keyring.failures(client):
            self._keep(client, door[1], now_ms)

    def passed(self, channel, client, now_ms):
        """The right key was shown: all is forgotten."""
        door = self._door(channel, client, now_ms)
        door[0] = door[1] = door[2] = 0
        if self._keyring.failures(client):
            self._keep(client, 0, now_ms)

    def _keep(self, client, level, now_ms):
        """Who fails and opens by turns wears nothing out: what is not stored ends with a reset."""
        if self._share is None:
            self._share = TokenBucket(_STORED, _STORE_EVERY_MS, now_ms)
        if self._share.take(now_ms) is not None:
            self._keyring.keep_failures(client, level)
