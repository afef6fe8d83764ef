"""Class 15, Association LN: what this client has agreed, and all that it may touch."""

import struct

from ams.cosem import acse
from ams.cosem.access import Object
from ams.results import READ_WRITE_DENIED, AccessError

_OID = b"\x60\x85\x74\x05\x08"
_VERSION = 6
_SERVER_SAP = 1
# Access modes of the object list.
_READ = 1
_WRITE = 2
_CALL = 1


class AssociationLn(Object):
    """`association` is the one that asks; `client` the one that this object is about."""

    class_id = 15
    version = 1
    attributes = 9
    methods = 4

    def __init__(self, ln, server, association, client):
        self.ln = ln
        self._server = server
        self._association = association
        self._client = client

    def get(self, attribute, out, selection=None):
        client = self._client
        ciphered = client.keys is not None
        if attribute == 2:
            return self._object_list(out)
        if attribute == 3:
            out.structure(2)
            out.int8(client.sap)
            out.uint16(_SERVER_SAP)
        elif attribute == 4:
            context = acse.CONTEXT_LN_CIPHERED if ciphered else acse.CONTEXT_LN
            out.octets(_OID + bytes((1, context)))
        elif attribute == 5:
            self._xdlms(out)
        elif attribute == 6:
            out.octets(_OID + bytes((2, self._server.mechanism(client))))
        elif attribute == 8:
            out.enum(self._server.status(client))
        elif attribute == 9:
            out.octets(bytes((0, 0, 43, 0, client.sap, 255)) if ciphered else bytes(6))
        else:
            raise AccessError(READ_WRITE_DENIED)
        return None

    def _xdlms(self, out):
        association = self._association
        mine = association is not None and association.client is self._client
        out.structure(6)
        bits = association.conformance if mine else acse.SUPPORTED
        out.bits(struct.pack(">I", bits)[1:], 24)
        out.uint16(self._server.pdu_max)
        out.uint16(association.pdu_size if mine else 0)
        out.uint8(_VERSION)
        out.int8(0)
        out.octets(b"")

    def _object_list(self, out):
        model = self._server.model
        who = self._client.who
        out.array(model.count(who))
        for class_id, version, ln, attributes, methods, rights in model.rows(who):
            yield
            out.structure(4)
            out.uint16(class_id)
            out.uint8(version)
            out.octets(ln)
            out.structure(2)
            out.array(attributes)
            for attribute in range(1, attributes + 1):
                mode = _READ if rights.may_read(attribute, who) else 0
                if rights.may_write(attribute, who):
                    mode |= _WRITE
                out.structure(3)
                out.int8(attribute)
                out.enum(mode)
                if class_id == 7 and attribute == 2:
                    out.array(2)
                    out.int8(1)
                    out.int8(2)
                else:
                    out.null()
            out.array(methods)
            for method in range(1, methods + 1):
                out.structure(2)
                out.int8(method)
                out.enum(_CALL if rights.may_call(method, who) else 0)

    def call(self, method, data, out, who):
        association = self._association
        if method != 1 or association is None or association.client is not self._client:
            raise AccessError(READ_WRITE_DENIED)
        try:
            proof = data.octets() if data is not None else None
            if proof is not None:
                data.end()
        except AccessError:
            proof = None
        out.octets(self._server.gate.reply_to_challenge(association, proof))


class SapAssignment(Object):
    """Class 17: the logical devices behind this address. There is one."""

    class_id = 17
    version = 0
    attributes = 2
    methods = 1

    def __init__(self, ln, name):
        self.ln = ln
        self._name = name

    def get(self, attribute, out, selection=None):
        if attribute != 2:
            raise AccessError(READ_WRITE_DENIED)
        out.array(1)
        out.structure(2)
        out.uint16(_SERVER_SAP)
        out.octets(self._name)


class Counter(Object):
    """Class 1: the invocation counter with which a client should go on."""

    class_id = 1
    version = 0
    attributes = 2

    def __init__(self, ln, client):
        self.ln = ln
        self._client = client

    def get(self, attribute, out, selection=None):
        if attribute != 2:
            raise AccessError(READ_WRITE_DENIED)
        out.uint32(self._client.keys.expected)
