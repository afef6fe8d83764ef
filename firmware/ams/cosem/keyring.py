"""The clients of the meter, their keys and their invocation counters.

Everything stands in the cells of the flash. Each client has a pair of keys of
its own, so a counter belongs to one client and one direction:

- what comes in: an opening, and what changes something, are entered before they act;
  of reads and of what is refused only a ceiling is kept, once in READS, since no request of
  a former association passes again: its number is below that of the opening that
  every later one stands behind. Who acts without end would wear the flash out: his
  numbers are then entered ahead, and after a power cut he goes on behind that;
- what goes out: numbers are taken from a reserve that is entered before its
  first number is used. They go on when the keys change, since nobody can tell
  whether a key that comes has served before.

No number is used or accepted twice, whenever the power goes.
"""

import binascii
import struct

from micropython import const

from ams.cosem.access import BREAKER, OPERATOR, PUBLIC, READER, UPDATE
from ams.cosem.numbers import LAST, Numbers, Spent
from ams.crypto.gcm import Gcm, equal
from ams.events.token_bucket import TokenBucket

SAP_PUBLIC = const(16)
SAP_OPERATOR = const(1)
# SAP and mask of every client that there can be; the place gives the cells.
CLIENTS = ((16, PUBLIC), (1, OPERATOR), (2, READER), (5, BREAKER), (6, UPDATE))

# Cells.
_TITLE = const(0)
_KEK = const(1)
_PENDING = const(2)  # a transfer of keys that has begun: it is gone through with
SECRETS = {"public": 3, "breaker": 4, "update": 5, "han": 6, "breaker_second": 7}
_FIRST = const(16)  # of eight cells to each client
_CELL_KEYS = const(0)  # generation u8, encryption, authentication, title (or nothing)
_CELL_IN = const(1)  # generation u8, floor u32, ceiling u32
_CELL_OUT = const(2)  # generation u8, next u32
CELL_FAILURES = const(3)

READS = const(64)
# Numbers of a client that are entered one by one: so many, then one in so long. Else so far ahead.
_EXACT = const(64)
_EXACT_EVERY_MS = const(60000)
_AHEAD = const(1024)
_RESERVE = const(1000)
# More than the settings that a ring of cells holds can have reserved.
_LOST = const(1 << 20)

# What a key transfer may carry.
KEY_UNICAST = const(0)
KEY_AUTHENTICATION = const(2)
KEY_MASTER = const(3)


class Keys:
    """A pair of keys in force, with its counters."""

    def __init__(self, generation, encryption, authentication):
        self.generation = generation
        self.encryption = encryption
        self.authentication = authentication
        self.aad = b"\x30" + authentication
        self.next_in = 0  # the least number that is still accepted
        self.floor = 0  # and after a power cut
        self.entered = None  # how often one was entered, a Share
        self.ceiling = 0  # no number from here on was ever accepted
        self.expected = 0  # what the public is told to go on with
        self.next_out = 1
        self.reserved = 0
        self.in_force = True
        self._gcm = None

    def gcm(self):
        """Made when it is first needed: its table takes half a kilobyte."""
        if self._gcm is None:
            self._gcm = Gcm(self.encryption)
        return self._gcm


class Client:
    """`keys` is None for the public client.

    `title`: the only system title under which the client may come, or None: then
    it brings its own, which every one of its messages is bound to.
    """

    def __init__(self, place, sap, who):
        self.place = place
        self.sap = sap
        self.who = who
        self.keys = None
        self.title = None

    def cell(self, which):
        return _FIRST + 8 * self.place + which


class Keyring:
    """`cells`: get(number) gives bytes or None, set(number, bytes) is kept on return.

    `config`: `system_title`, `kek`, `clients` (`sap`, `encryption`, `authentication`;
    with `bind_title` also `title`) and further secrets, all in hex. It counts only
    while the cells hold none. `server_counter` is where the meter's own counters begin
    then; with `server_counters`, how many they are, it is the range of `numbers`.
    """

    def __init__(self, cells, config=None):
        self._cells = cells
        self.now_ms = 0  # of a clock that is never set
        self.lent = None  # gives keys that are kept elsewhere: those of the HAN port, or None
        if config and not cells.get(_TITLE):
            self._provision(config)
        self._finish_transfer()
        self.numbers = Numbers(cells)
        if config and config.get("server_counters"):
            self._bind(config["server_counter"], config["server_counters"])
        self.title = cells.get(_TITLE)
        self.clients = []
        for place, (sap, who) in enumerate(CLIENTS):
            client = Client(place, sap, who)
            if who == PUBLIC or self._load(client):
                self.clients.append(client)

    def _bind(self, first, count):
        try:
            self.numbers.extend(first, count)
        except OSError:
            # What takes no range takes no number either.
            pass

    # --- what is kept --------------------------------------------------------------

    def _provision(self, config):
        """The first start. The title goes last: a cut before it begins anew."""
        cells = self._cells
        keys = [entry["encryption"].lower() for entry in config.get("clients", ())]
        if len(set(keys)) != len(keys):
            raise ValueError("security: two clients with the same key would share its numbers")
        for entry in config.get("clients", ()):
            for place, (sap, who) in enumerate(CLIENTS):
                if sap == entry["sap"] and who != PUBLIC:
                    value = b"\x00" + _key(entry["encryption"]) + _key(entry["authentication"])
                    if entry.get("bind_title"):
                        value += _octets(entry["title"], 8)
                    cells.set(_FIRST + 8 * place + _CELL_KEYS, value)
                    start = config.get("server_counter", 1)
                    cells.set(_FIRST + 8 * place + _CELL_OUT, struct.pack(">BI", 0, start))
        if config.get("kek"):
            cells.set(_KEK, _key(config["kek"]))
        for name, cell in SECRETS.items():
            value = config.get(name)
            if isinstance(value, dict):
                cells.set(cell, _key(value["encryption"]) + _key(value["authentication"]))
            elif value:
                cells.set(cell, _octets(value))
        cells.set(_TITLE, _octets(config["system_title"], 8))

    def _load(self, client):
        stored = self._cells.get(client.cell(_CELL_KEYS))
        if not stored:
            return False
        keys = client.keys = Keys(stored[0], stored[1:17], stored[17:33])
        client.title = stored[33:41] or None
        value = self._counters(client, _CELL_IN, ">BII")
        if value:
            keys.next_in, keys.ceiling = value
            keys.floor = keys.next_in
            # Which of the last reads came is not known one by one.
            keys.expected = max(value)
        keys.next_out = keys.reserved = self._next_out(client, keys)
        return True

    def _next_out(self, client, keys):
        stored = self._cells.get(client.cell(_CELL_OUT))
        if not stored:
            return 1
        generation, number = struct.unpack(">BI", stored)
        if getattr(self._cells, "damaged", False):
            # What is read may be older than what was set.
            number = min(number + _LOST, LAST)
        if generation != keys.generation and number > LAST >> 1:
            # A new key may begin anew: after a hundred years of it the old ones are nowhere.
            return 1
        return number

    def _counters(self, client, cell, fmt):
        """The counters that belong to the keys in force: those of older keys are void."""
        stored = self._cells.get(client.cell(cell))
        if not stored or stored[0] != client.keys.generation:
            return None
        return struct.unpack(fmt, stored)[1:]

    def client(self, sap):
        for client in self.clients:
            if client.sap == sap:
                return client
        return None

    def serves(self, key, name=None):
        """Whether something has this key already, other than the secret `name`.

        Wrapped keys do not say what they are for, and no two things may share one.
        """
        held = [self.kek()]
        for client in self.clients:
            if client.keys is not None:
                held += (client.keys.encryption, client.keys.authentication)
        for other in SECRETS:
            value = self.secret(other) if other != name else None
            if value:
                held += (value[:16], value[16:])
        lent = self.lent() if self.lent is not None and name != "han" else None
        if lent:
            held += (lent[:16], lent[16:])
        for other in held:
            if other and equal(other, key):
                return True
        return False

    def kek(self):
        return self._cells.get(_KEK)

    def secret(self, name):
        """One of SECRETS, or None; of `han` both keys, the encryption key first."""
        return self._cells.get(SECRETS[name]) or None

    def change_secret(self, name, value):
        """A cell: the old one or the new one, whenever the power goes."""
        self._cells.set(SECRETS[name], value)

    def failures(self, client):
        stored = self._cells.get(client.cell(CELL_FAILURES))
        return stored[0] if stored else 0

    def keep_failures(self, client, level):
        if level != self.failures(client):
            self._cells.set(client.cell(CELL_FAILURES), bytes((level,)))

    # --- counters --------------------------------------------------------------------

    def accept(self, client, keys, number, acts):
        """Enters a number that proved right. False: it is too old, or the last of all.

        `acts`: more than a read; it is kept before this returns.
        """
        if number < keys.next_in or number >= LAST:
            return False
        if acts or number >= keys.ceiling:
            self._enter(client, keys, number, acts)
        keys.next_in = keys.expected = number + 1
        return True

    def keep(self, client, keys, number):
        """A number that was accepted is about to change something: kept when this returns."""
        if number >= keys.floor:
            self._enter(client, keys, number, True)

    def _enter(self, client, keys, number, acts):
        floor = number + 1
        ceiling = number + READS
        if number < keys.floor:
            # It was entered ahead.
            return
        if keys.in_force:
            if keys.entered is None:
                keys.entered = TokenBucket(_EXACT, _EXACT_EVERY_MS, self.now_ms)
            if keys.entered.take(self.now_ms) is None:
                ceiling += _AHEAD
                floor += _AHEAD if acts else 0
            floor = min(floor, LAST)
            ceiling = min(max(floor, ceiling), LAST)
            value = struct.pack(">BII", keys.generation, floor, ceiling)
            self._cells.set(client.cell(_CELL_IN), value)
        # Only now: what could not be stored does not count.
        keys.floor = floor
        keys.ceiling = min(ceiling, LAST)

    def take(self, client, keys):
        """The next number for what the meter sends under these keys. Raises Spent."""
        number = self.numbers.next(keys.next_out)
        if number >= keys.reserved:
            reserved = min(number + _RESERVE, self.numbers.end)
            if keys.in_force:
                value = struct.pack(">BI", keys.generation, reserved)
                self._cells.set(client.cell(_CELL_OUT), value)
            keys.reserved = reserved
        keys.next_out = number + 1
        return number

    # --- change of keys -----------------------------------------------------------------

    def transfer(self, client, encryption, authentication, kek):
        """New keys from here on, all or none; what stays is None.

        The association's answer still goes out under the old ones, which it holds.
        Counters belong to the encryption key: where that stays they go on.
        """
        old = client.keys
        # The number of that answer: the new keys begin behind it.
        try:
            old.next_out = self.take(client, old)
            old.reserved = old.next_out + 1
        except Spent:
            if not encryption:
                raise
        value = bytes(((old.generation + (1 if encryption else 0)) & 0xFF,))
        value += (encryption or old.encryption) + (authentication or old.authentication)
        value += client.title or b""
        pending = bytes((client.place, 1 if kek else 0)) + (kek or b"") + value
        self._cells.set(_PENDING, pending)
        self._finish_transfer()
        old.in_force = False
        self._load(client)

    def _finish_transfer(self):
        pending = self._cells.get(_PENDING)
        if not pending:
            return
        at = 2
        if pending[1]:
            self._cells.set(_KEK, pending[2:18])
            at = 18
        self._cells.set(_FIRST + 8 * pending[0] + _CELL_KEYS, pending[at:])
        self._cells.set(_PENDING, b"")


def _octets(text, size=None):
    data = binascii.unhexlify(text)
    if size is not None and len(data) != size:
        raise ValueError("security: %d octets in hex are needed" % size)
    return data


def _key(text):
    return _octets(text, 16)
