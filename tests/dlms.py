"""A server without a meter behind it, for CPython and the MicroPython VM alike."""

import binascii
import os
import struct

from ams.cosem.access import EVERYBODY, KEYED, OPERATOR, PIECE, Object, Rights
from ams.cosem.keyring import Keyring
from ams.cosem.server import Server
from ams.results import CLASS_INCONSISTENT, OBJECT_UNDEFINED, READ_WRITE_DENIED, AccessError

TITLE = b"OAM\x00\x00\x00\x00\x01"
KEK = bytes(range(0x40, 0x50))
OPERATOR_KEYS = (bytes(range(16)), bytes(range(0xD0, 0xE0)))
READER_KEYS = (bytes(range(0x60, 0x70)), bytes(range(0x70, 0x80)))
CLIENT_TITLE = b"ABC\x00\x00\x00\x00\x07"
REGISTER = "1.0.1.8.0.255"
LONG = "0.0.96.1.0.255"


def hexed(data):
    return binascii.hexlify(bytes(data)).decode()


def security(**more):
    config = {"system_title": hexed(TITLE), "kek": hexed(KEK), "clients": []}
    for sap, keys in ((1, OPERATOR_KEYS), (2, READER_KEYS)):
        config["clients"].append(
            {"sap": sap, "encryption": hexed(keys[0]), "authentication": hexed(keys[1])}
        )
    config.update(more)
    return config


class Cells:
    """Cells in RAM, which remember in what order they were set."""

    def __init__(self):
        self.values = {}
        self.sets = []

    def get(self, key):
        return self.values.get(key)

    def set(self, key, value):
        self.sets.append((key, bytes(value)))
        self.values[key] = bytes(value)


class Register(Object):
    class_id = 3
    attributes = 3
    value = 123456

    def get(self, attribute, out, selection=None):
        if attribute == 2:
            out.uint32(Register.value)
        else:
            out.structure(2)
            out.int8(0)
            out.enum(30)


class Long(Object):
    """A value of many pieces, and one that is written in blocks."""

    class_id = 1
    attributes = 2
    methods = 2
    rows = 200
    written = b""
    calls = []

    def get(self, attribute, out, selection=None):
        return self._rows(out)

    def _rows(self, out):
        out.array(Long.rows)
        for row in range(Long.rows):
            if out.length > PIECE - 20:
                yield
            out.structure(2)
            out.octets(struct.pack(">Q", row))
            out.uint32(row)
        yield

    def set(self, attribute, data, who):
        Long.written = bytes(data.octets())

    def call(self, method, data, out, who):
        Long.calls.append(bytes(data.skip()) if data else b"")
        if method == 2:
            out.octets(bytes(range(200)))


class Model:
    """The least that a model is (see ams.objects.model): two objects and those of the server."""

    def __init__(self):
        rights = Rights(KEYED, writes={2: OPERATOR}, calls={1: OPERATOR, 2: OPERATOR})
        self.table = [
            (3, b"\x01\x00\x01\x08\x00\xff", lambda ln, session: Register(ln), Rights(EVERYBODY)),
            (1, b"\x00\x00\x60\x01\x00\xff", lambda ln, session: Long(ln), rights),
        ]

    def extend(self, rows):
        self.table += rows

    def device_name(self):
        return b"OAM0000000000001"

    def _find(self, class_id, ln, session):
        code = OBJECT_UNDEFINED
        for row in self.table:
            if row[1] == bytes(ln):
                if row[0] == class_id:
                    return row[2](bytes(ln), session), row[3]
                code = CLASS_INCONSISTENT
        raise AccessError(code)

    def get(self, class_id, ln, attribute, who, out, selection=None, session=None):
        thing, rights = self._find(class_id, ln, session)
        if not 1 <= attribute <= thing.attributes:
            raise AccessError(OBJECT_UNDEFINED)
        if not rights.may_read(attribute, who):
            raise AccessError(READ_WRITE_DENIED)
        if attribute == 1:
            out.octets(bytes(ln))
            return None
        return thing.get(attribute, out, selection)

    def set(self, class_id, ln, attribute, who, data, session=None):
        thing, rights = self._find(class_id, ln, session)
        if not rights.may_write(attribute, who):
            raise AccessError(READ_WRITE_DENIED)
        thing.set(attribute, data, who)

    def call(self, class_id, ln, method, who, data, out, session=None):
        thing, rights = self._find(class_id, ln, session)
        if not rights.may_call(method, who):
            raise AccessError(READ_WRITE_DENIED)
        thing.call(method, data, out, who)

    def count(self, who):
        return len(list(self.rows(who)))

    def rows(self, who):
        for class_id, ln, factory, rights in self.table:
            if rights.seen_by() & who:
                thing = factory(ln, None)
                yield class_id, thing.version, ln, thing.attributes, thing.methods, rights


class Bench:
    """A server, its cells and its events; the clock is ours."""

    def __init__(self, config=None, cells=None, random=os.urandom):
        self.cells = Cells() if cells is None else cells
        self.events = []
        self.complaints = []
        self.now_ms = 1000
        self.model = Model()
        self.keyring = Keyring(self.cells, security() if config is None else config)
        self.server = Server(self.model, self.keyring, random, self._log, self.complaints.append)

    def _log(self, code, detail, extra):
        self.events.append((code, detail, extra))

    def codes(self):
        return [event[0] for event in self.events]

    def request(self, apdu, sap=16, channel=1, server=1):
        data = memoryview(bytearray(apdu))
        answer = self.server.request(channel, sap, server, data, self.now_ms)
        return None if answer is None else bytes(answer)

    def wrapper(self, frame, channel=1):
        """A frame of the TCP wrapper, whole, and its answer."""
        version, source, destination, length = struct.unpack(">4H", frame[:8])
        assert version == 1 and length == len(frame) - 8
        answer = self.request(frame[8:], source, channel, destination)
        if answer is None:
            return b""
        return struct.pack(">4H", 1, destination, source, len(answer)) + answer


class Raw:
    """A client that ciphers by hand, and so can do it wrong. `keys`: encryption, authentication."""

    def __init__(self, bench, sap=1, keys=OPERATOR_KEYS, counter=1, channel=1, title=CLIENT_TITLE):
        from ams.crypto.gcm import Gcm

        self.bench = bench
        self.sap = sap
        self.keys = keys
        self.gcm = Gcm(keys[0])
        self.counter = counter
        self.channel = channel
        self.title = title
        self.conformance = 0x00FFFFFF
        self.pdu_size = 0
        self.challenge = bytes(range(0x20, 0x30))
        self.server_challenge = b""

    def iv(self, counter, title=None):
        return (title or self.title) + struct.pack(">I", counter)

    def seal(self, tag, plain, counter=None, control=0x30, title=None):
        """A service-specific or (with 0xDB) general ciphered APDU."""
        if counter is None:
            counter = self.counter
            self.counter += 1
        aad = bytes((control,)) + self.keys[1]
        if control == 0x30:
            data, auth = self.gcm.encrypt(self.iv(counter, title), aad, plain)
        elif control == 0x20:
            data, auth = self.gcm.encrypt(self.iv(counter, title), b"", plain)
            auth = b""
        else:
            data, auth = plain, self.gcm.mac(self.iv(counter, title), aad, plain)
        body = bytes((control,)) + struct.pack(">I", counter) + bytes(data) + auth
        head = bytes((tag,))
        if tag in (0xDB, 0xDC):
            head += b"\x08" + (title or self.title)
        return head + _length(len(body)) + body

    def unseal(self, apdu):
        """The plain answer, whatever it is wrapped in."""
        at = 1
        if apdu[0] in (0xDB, 0xDC):
            at = 10
        at += 1 if apdu[at] < 0x80 else 1 + (apdu[at] & 0x7F)
        iv = TITLE + apdu[at + 1 : at + 5]
        plain = self.gcm.decrypt(iv, b"\x30" + self.keys[1], apdu[at + 5 : -12], apdu[-12:])
        assert plain is not None
        return bytes(plain)

    def initiate(self, dedicated=None):
        key = b"\x00" if dedicated is None else b"\x01\x10" + dedicated
        bits = struct.pack(">I", self.conformance)
        return (
            b"\x01"
            + key
            + b"\x00\x00\x06\x5f\x1f\x04"
            + b"\x00"
            + bits[1:]
            + struct.pack(">H", self.pdu_size)
        )

    def aarq(self, info=None, context=3, mechanism=5, challenge=None):
        challenge = self.challenge if challenge is None else challenge
        body = b"\xa1\x09\x06\x07\x60\x85\x74\x05\x08\x01" + bytes((context,))
        if self.title:
            body += b"\xa6\x0a\x04\x08" + self.title
        if mechanism is not None:
            body += b"\x8a\x02\x07\x80\x8b\x07\x60\x85\x74\x05\x08\x02" + bytes((mechanism,))
            body += b"\xac" + bytes((len(challenge) + 2, 0x80, len(challenge))) + challenge
        if info is None:
            info = self.seal(0x21, self.initiate())
        body += b"\xbe" + bytes((len(info) + 2, 0x04, len(info))) + info
        return b"\x60" + _length(len(body)) + body

    def send(self, apdu):
        return self.bench.request(apdu, self.sap, self.channel)

    def open(self, **more):
        answer = self.send(self.aarq(**more))
        at = answer.find(b"\xaa\x12\x80\x10")
        assert answer[0] == 0x61 and at > 0, hexed(answer)
        self.server_challenge = answer[at + 4 : at + 20]
        return self

    def proof(self, counter, challenge=None):
        head = b"\x10" + struct.pack(">I", counter)
        challenge = self.server_challenge if challenge is None else challenge
        return head + self.gcm.mac(self.iv(counter), b"\x10" + self.keys[1], challenge)

    def reply(self, proof=None):
        """reply_to_HLS; gives the plain answer."""
        proof = self.proof(self.counter) if proof is None else proof
        data = b"\x01\x09" + bytes((len(proof),)) + proof
        apdu = b"\xc3\x01\xc1\x00\x0f\x00\x00\x28\x00\x00\xff\x01" + data
        return self.ask(apdu)

    def associate(self, **more):
        self.open(**more)
        assert self.reply()[:4] == b"\xc7\x01\xc1\x00"
        return self

    def ask(self, plain, tag=None):
        """Ciphers, sends, deciphers. An answer in clear (an exception) is given as it is."""
        tag = {0xC0: 0xC8, 0xC1: 0xC9, 0xC3: 0xCB}[plain[0]] if tag is None else tag
        answer = self.send(self.seal(tag, plain))
        return answer if answer is None or answer[0] in (0xD8, 0x0E) else self.unseal(answer)


def _length(count):
    return bytes((count,)) if count < 0x80 else b"\x82" + struct.pack(">H", count)


GET_REGISTER = b"\xc0\x01\xc1\x00\x03\x01\x00\x01\x08\x00\xff\x02\x00"
GET_LONG = b"\xc0\x01\xc1\x00\x01\x00\x00\x60\x01\x00\xff\x02\x00"
REGISTER_ANSWER = b"\xc4\x01\xc1\x00\x06\x00\x01\xe2\x40"


class Public(Raw):
    """The public client, in clear."""

    def __init__(self, bench, channel=1):
        super().__init__(bench, 16, channel=channel)

    def associate(self, **more):
        answer = self.send(self.aarq(info=self.initiate(), context=1, mechanism=None))
        assert answer[0] == 0x61 and b"\xa2\x03\x02\x01\x00" in answer, hexed(answer)
        return self

    def ask(self, plain, tag=None):
        return self.send(plain)
