"""The meter's xDLMS server over a few objects, and an operator who has its keys. For both VMs."""

import struct

from ams.cosem.access import EVERYBODY, KEYED, OPERATOR, PIECE, Object, Rights
from ams.cosem.keyring import Keyring
from ams.cosem.server import Server
from ams.crypto.gcm import Gcm
from ams.results import CLASS_INCONSISTENT, OBJECT_UNDEFINED, READ_WRITE_DENIED, AccessError

TITLE = b"LAB\x00\x00\x00\x00\x01"
CLIENT_TITLE = b"CLI\x00\x00\x00\x00\x07"
# Keys of a laboratory, known to everybody.
KEY = bytes(range(16))
AUTHENTICATION_KEY = bytes(range(0xD0, 0xE0))


class Number(Object):
    class_id = 3
    attributes = 3

    def get(self, attribute, out, selection=None):
        if attribute == 2:
            out.uint32(123456)
        else:
            out.structure(2)
            out.int8(0)
            out.enum(30)

    def set(self, attribute, data, who):
        data.skip()


class Rows(Object):
    """A long value, with a selection that it reads through."""

    class_id = 1
    attributes = 2
    methods = 2

    def get(self, attribute, out, selection=None):
        if selection is not None:
            selection.octet()
            selection.skip()
        return self._rows(out)

    def _rows(self, out):
        out.array(200)
        for row in range(200):
            if out.length > PIECE - 20:
                yield
            out.structure(2)
            out.octets(struct.pack(">II", 0, row))
            out.uint32(row)
        yield

    def set(self, attribute, data, who):
        data.octets()

    def call(self, method, data, out, who):
        if data:
            data.skip()
        if method == 2:
            out.octets(bytes(200))


class Model:
    """The least that a model is: objects of the laboratory and those of the server."""

    def __init__(self):
        self.table = []
        own = Rights(KEYED, {2: OPERATOR}, {1: OPERATOR, 2: OPERATOR})
        self.extend(
            [
                (3, b"\x01\x00\x01\x08\x00\xff", lambda ln, s: Number(ln), Rights(EVERYBODY)),
                (1, b"\x00\x00\x60\x01\x00\xff", lambda ln, s: Rows(ln), own),
            ]
        )

    def extend(self, rows):
        for row in rows:
            self.table.append(row)

    def device_name(self):
        return b"LAB0000000000001"

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
        if attribute > thing.attributes:
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
        return sum(1 for _ in self.rows(who))

    def rows(self, who):
        for class_id, ln, factory, rights in self.table:
            if rights.seen_by() & who:
                thing = factory(ln, None)
                yield class_id, thing.version, ln, thing.attributes, thing.methods, rights


class Cells(dict):
    def set(self, key, value):
        self[key] = bytes(value)


def security():
    """What a meter of the laboratory is provisioned with."""
    operator = {"sap": 1, "encryption": _hex(KEY), "authentication": _hex(AUTHENTICATION_KEY)}
    return {"system_title": _hex(TITLE), "kek": _hex(bytes(16)), "clients": [operator]}


class Lab:
    """A server; what it logs is counted, what it complains of is kept."""

    def __init__(self, random):
        self.events = 0
        self.complaints = []
        self.keyring = Keyring(Cells(), security())
        self.server = Server(Model(), self.keyring, random, self._log, self.complaints.append)

    def _log(self, code, detail, extra):
        self.events += 1


def _hex(data):
    return "".join("%02x" % octet for octet in data)


def _length(size):
    return bytes((size,)) if size < 0x80 else b"\x82" + struct.pack(">H", size)


class Client:
    """Opens one client's association and ciphers what it is given.

    `keys`: encryption and authentication key; `pdu_size` and `conformance` are what it proposes.
    """

    title = CLIENT_TITLE
    pdu_size = 0x400
    conformance = 0xFFFFFF

    def __init__(self, lab, channel, sap=1, keys=(KEY, AUTHENTICATION_KEY)):
        self._lab = lab  # whose server may be another after a power cut
        self._channel = channel
        self.sap = sap
        self.keys = keys
        self._gcm = Gcm(keys[0])
        self.counter = 1

    def ask(self, apdu, now_ms):
        data = memoryview(bytearray(apdu))
        answer = self._lab.server.request(self._channel, self.sap, 1, data, now_ms)
        return None if answer is None else bytes(answer)

    def seal(self, tag, plain, gcm=None):
        iv = self.title + struct.pack(">I", self.counter)
        text, check = (gcm or self._gcm).encrypt(iv, b"\x30" + self.keys[1], plain)
        body = b"\x30" + struct.pack(">I", self.counter) + bytes(text) + check
        self.counter += 1
        if tag in (0xDB, 0xDC):
            return bytes((tag, 8)) + self.title + _length(len(body)) + body
        return bytes((tag,)) + _length(len(body)) + body

    def unseal(self, apdu, gcm=None):
        """The plain answer in a service-specific or general wrapping; None for another."""
        at = 1
        if apdu[0] in (0xDB, 0xDC):
            at = 10
        size = apdu[at]
        at += 1 if size < 0x80 else 1 + (size & 0x7F)
        iv = TITLE + apdu[at + 1 : at + 5]
        aad = b"\x30" + self.keys[1]
        return (gcm or self._gcm).decrypt(iv, aad, apdu[at + 5 : -12], apdu[-12:])

    def initiate(self, dedicated=None):
        key = b"\x00" if dedicated is None else b"\x01\x10" + dedicated
        agreed = struct.pack(">IH", self.conformance, self.pdu_size)
        return b"\x01" + key + b"\x00\x00\x06\x5f\x1f\x04" + agreed

    def aarq(self, challenge, dedicated=None):
        initiate = self.seal(0x21, self.initiate(dedicated))
        body = bytes.fromhex("A109060760857405080103A60A0408") + self.title
        body += bytes.fromhex("8A0207808B0760857405080205")
        body += bytes((0xAC, len(challenge) + 2, 0x80, len(challenge))) + challenge
        body += bytes((0xBE, len(initiate) + 2, 0x04, len(initiate))) + initiate
        return b"\x60" + _length(len(body)) + body

    def reply(self, aare):
        """The answer to the challenge in an AARE; raises AssertionError where there is none."""
        at = aare.find(b"\xaa\x12\x80\x10")
        assert at > 0, "no challenge: %s" % _hex(aare)
        theirs = aare[at + 4 : at + 20]
        iv = self.title + struct.pack(">I", self.counter)
        proof = b"\x10" + iv[8:] + self._gcm.mac(iv, b"\x10" + self.keys[1], theirs)
        return b"\xc3\x01\xc1\x00\x0f\x00\x00\x28\x00\x00\xff\x01\x01\x09\x11" + proof

    def open(self, now_ms, dedicated=None):
        """Associates; raises AssertionError where the meter keeps its own client out."""
        aare = self.ask(self.aarq(bytes(range(16)), dedicated), now_ms)
        answer = self.unseal(self.ask(self.seal(0xCB, self.reply(aare)), now_ms))
        assert answer[:4] == b"\xc7\x01\xc1\x00", "proof refused: %s" % _hex(answer)


Operator = Client
