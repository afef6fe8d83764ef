"""The services on objects: get, set and action, alone, listed and in blocks (IEC 62056-5-3).

A request is read where it lies, an answer is made in the one `Answer` of the
server. `handle` returns whether there is an answer.
"""

import struct

from micropython import const

from ams.cosem import acse
from ams.cosem.answers import (
    ACTION_RESPONSE,
    CONFIRMED,
    GET_RESPONSE,
    HEAD,
    NOT_ALLOWED,
    NOT_SUPPORTED,
    OTHER,
    SET_RESPONSE,
    UNKNOWN,
    Answers,
    ServiceError,
)
from ams.cosem.association import PENDING
from ams.cosem.axdr import Full, Reader
from ams.cosem.block import Gathering, Transfer
from ams.cosem.objects.base import PUBLIC
from ams.cosem.results import (
    BLOCK_NUMBER_INVALID,
    LONG_ACTION_ABORTED,
    LONG_SET_ABORTED,
    NO_LONG_ACTION,
    NO_LONG_GET,
    NO_LONG_SET,
    OTHER_REASON,
    READ_WRITE_DENIED,
    SCOPE_VIOLATED,
    SUCCESS,
    AccessError,
)

GET = const(0xC0)
SET = const(0xC1)
ACTION = const(0xC3)


class Services(Answers):
    """`model` finds the objects (see ams.model)."""

    def __init__(self, model, answer):
        super().__init__(answer)
        self._model = model
        self._gathering = Gathering()

    def handle(self, association, apdu):
        """Serves one plain APDU; False: there is nothing to answer."""
        data = Reader(apdu)
        try:
            service = data.octet()
            kind = data.octet()
            invoke = data.octet()
            if service == GET:
                return self._get(association, kind, invoke, data)
            if service == SET:
                return self._set(association, kind, invoke, data)
            if service == ACTION:
                return self._action(association, kind, invoke, data)
        except AccessError:
            # What cannot even be read: what goes wrong in an object is answered below.
            raise ServiceError(NOT_ALLOWED, OTHER)
        raise ServiceError(UNKNOWN, NOT_SUPPORTED)

    def forget(self, association):
        """Its transfers end."""
        self._end(association)
        self._gathering.drop(association)

    # --- get -----------------------------------------------------------------------

    def _get(self, association, kind, invoke, data):
        _need(association, acse.GET)
        if kind == 2:
            _need(association, acse.BLOCK_GET)
            return self._next(association, GET_RESPONSE, invoke, data)
        self._end(association)
        if kind == 1:
            class_id, ln, attribute, selection = _descriptor(association, data)
            data.end()
            stage = self._stage()
            try:
                pieces = self._model.get(
                    class_id, ln, attribute, association.who, stage, selection, association
                )
                transfer = Transfer(stage, pieces, GET_RESPONSE)
                return self._send(association, transfer, bytes((GET_RESPONSE, 1, invoke, 0)))
            except AccessError as error:
                self._stages.append(stage)
                return self._short(bytes((GET_RESPONSE, 1, invoke, 1, error.code)))
            except Full:
                self._stages.append(stage)
                return self._short(bytes((GET_RESPONSE, 1, invoke, 1, OTHER_REASON)))
        if kind == 3:
            _need(association, acse.MULTIPLE)
            # The request is gone before the last block: a copy stays.
            data = Reader(bytes(data.data), data.at)
            check = Reader(data.data, data.at)
            for _ in range(check.count()):
                _descriptor(association, check)
            check.end()
            stage = self._stage()
            pieces = self._listed(association, data, stage)
            transfer = Transfer(stage, pieces, GET_RESPONSE, True)
            return self._send(association, transfer, bytes((GET_RESPONSE, 3, invoke)))
        raise ServiceError(UNKNOWN, NOT_SUPPORTED)

    def _listed(self, association, data, stage):
        """One value after the other, each with its result."""
        count = data.count()
        stage.count(count)
        for _ in range(count):
            yield
            class_id, ln, attribute, selection = _descriptor(association, data)
            stage.octet(0)
            pieces = None
            try:
                pieces = self._model.get(
                    class_id, ln, attribute, association.who, stage, selection, association
                )
                if pieces is not None:
                    next(pieces)
            except StopIteration:
                pieces = None
            except AccessError as error:
                stage.clear()
                stage.octet(1)
                stage.octet(error.code)
                pieces = None
            except Full:
                stage.clear()
                stage.octet(1)
                stage.octet(OTHER_REASON)
                pieces = None
            if pieces is not None:
                yield
                for _ in pieces:
                    yield

    def _next(self, association, response, invoke, data):
        """The following block of an answer."""
        number = struct.unpack(">I", data.take(4))[0]
        data.end()
        transfer = association.transfer
        if transfer is None or transfer.service != response:
            return self._no_block(response, invoke, number, NO_LONG_GET)
        if number != transfer.number:
            self._end(association)
            return self._no_block(response, invoke, number, BLOCK_NUMBER_INVALID)
        try:
            return self._block(association, transfer, invoke, True)
        except (AccessError, Full) as error:
            self._end(association)
            code = error.code if isinstance(error, AccessError) else OTHER_REASON
            return self._no_block(response, invoke, number + 1, code)

    def _no_block(self, response, invoke, number, code):
        if response == ACTION_RESPONSE:
            code = NO_LONG_ACTION if code == NO_LONG_GET else LONG_ACTION_ABORTED
            return self._short(bytes((response, 1, invoke, code, 0)))
        head = struct.pack(">BBBBIBB", response, 2, invoke, 1, number & 0xFFFFFFFF, 1, code)
        return self._short(head)

    # --- set -----------------------------------------------------------------------

    def _set(self, association, kind, invoke, data):
        _need(association, acse.SET)
        if kind in (2, 3, 5):
            _need(association, acse.BLOCK_SET)
        if kind in (4, 5):
            _need(association, acse.MULTIPLE)
        if kind == 3:
            return self._gather_next(association, SET, invoke, data)
        self._end(association)
        self._gathering.drop(association)
        if kind == 1:
            return self._reply(
                invoke, bytes((SET_RESPONSE, 1, invoke, self._write(association, data)))
            )
        if kind == 4:
            self.out.begin(HEAD)
            self._write_list(association, data)
            return self._finish(invoke, bytes((SET_RESPONSE, 5, invoke)))
        if kind in (2, 5):
            return self._gather_first(association, SET, kind == 5, invoke, data)
        raise ServiceError(UNKNOWN, NOT_SUPPORTED)

    def _write(self, association, data):
        """Result of a set whose descriptor comes next and whose value is all the rest."""
        class_id, ln, attribute, selection = _descriptor(association, data)
        value = Reader(data.data, data.at)
        data.skip()
        data.end()
        return self._write_one(association, class_id, ln, attribute, selection, value)

    def _write_one(self, association, class_id, ln, attribute, selection, value):
        if selection is not None:
            return SCOPE_VIOLATED
        try:
            self._model.set(class_id, ln, attribute, association.who, value, association)
        except AccessError as error:
            return error.code
        return SUCCESS

    def _write_list(self, association, data):
        """Descriptors, then as many values; the results go to the answer."""
        descriptors = Reader(data.data, data.at)
        count = data.count()
        for _ in range(count):
            _descriptor(association, data)
        if data.count() != count:
            raise ServiceError(NOT_ALLOWED, OTHER)
        check = Reader(data.data, data.at)
        for _ in range(count):
            check.skip()
        check.end()
        self.out.count(descriptors.count())
        for _ in range(count):
            class_id, ln, attribute, selection = _descriptor(association, descriptors)
            value = Reader(data.data, data.at)
            data.skip()
            self.out.octet(self._write_one(association, class_id, ln, attribute, selection, value))

    # --- action --------------------------------------------------------------------

    def _action(self, association, kind, invoke, data):
        if association.state != PENDING:
            # The proof is an action that every client may send.
            _need(association, acse.ACTION)
        if kind in (2, 4, 5, 6):
            _need(association, acse.BLOCK_ACTION)
        if kind in (3, 5):
            _need(association, acse.MULTIPLE)
        if kind == 2:
            return self._next(association, ACTION_RESPONSE, invoke, data)
        if kind == 6:
            return self._gather_next(association, ACTION, invoke, data)
        self._end(association)
        self._gathering.drop(association)
        if kind in (1, 3):
            return self._act(association, kind == 3, invoke, data)
        if kind in (4, 5):
            return self._gather_first(association, ACTION, kind == 5, invoke, data)
        raise ServiceError(UNKNOWN, NOT_SUPPORTED)

    def _act(self, association, listed, invoke, data):
        stage = self._stage()
        if listed:
            self._act_list(association, data, stage)
        else:
            class_id, ln, method = _method(data)
            value = None
            if data.octet():
                value = Reader(data.data, data.at)
                data.skip()
            data.end()
            self._act_one(association, class_id, ln, method, value, stage)
        if not invoke & CONFIRMED:
            self._stages.append(stage)
            return False
        head = bytes((ACTION_RESPONSE, 3 if listed else 1, invoke))
        return self._send(association, Transfer(stage, None, ACTION_RESPONSE), head)

    def _act_one(self, association, class_id, ln, method, value, stage):
        """Calls, and adds the result with what the method gives back."""
        at = stage.length
        code = SUCCESS
        try:
            stage.raw(b"\x00\x01\x00")
            self._model.call(class_id, ln, method, association.who, value, stage, association)
            if stage.length > at + 3:
                return
        except AccessError as error:
            code = error.code
        except Full:
            code = OTHER_REASON
        stage.length = at
        stage.octet(code)
        stage.octet(0)

    def _act_list(self, association, data, stage):
        methods = Reader(data.data, data.at)
        count = data.count()
        for _ in range(count):
            _method(data)
        if data.count() != count:
            raise ServiceError(NOT_ALLOWED, OTHER)
        check = Reader(data.data, data.at)
        for _ in range(count):
            check.skip()
        check.end()
        stage.count(methods.count())
        for _ in range(count):
            class_id, ln, method = _method(methods)
            value = Reader(data.data, data.at)
            data.skip()
            self._act_one(association, class_id, ln, method, value, stage)

    # --- what comes in blocks --------------------------------------------------------

    def _gather_first(self, association, service, listed, invoke, data):
        """The descriptors and the first block: gathered, they are as the request in one piece."""
        start = data.at
        for _ in range(data.count() if listed else 1):
            if service == SET:
                _descriptor(association, data)
            else:
                _method(data)
        descriptors = data.data[start : data.at]
        if association.who == PUBLIC:
            # It may write nothing: it shall not take the buffer from those who may.
            return self._gathered(service, listed, invoke, 0, READ_WRITE_DENIED)
        gathering = self._gathering
        gathering.begin(association, service, listed)
        gathering.add(descriptors)
        if service == ACTION and not listed:
            gathering.add(b"\x01")
        return self._gather(association, service, invoke, data)

    def _gather_next(self, association, service, invoke, data):
        gathering = self._gathering
        if gathering.owner is not association or gathering.service != service:
            return self._gathered(service, False, invoke, 0, NO_LONG_SET)
        return self._gather(association, service, invoke, data)

    def _gather(self, association, service, invoke, data):
        gathering = self._gathering
        last = data.octet()
        number = struct.unpack(">I", data.take(4))[0]
        raw = data.take(data.count())
        data.end()
        listed = gathering.listed
        if number != gathering.number + 1:
            gathering.drop(association)
            return self._gathered(service, listed, invoke, number, BLOCK_NUMBER_INVALID)
        if not gathering.add(raw):
            gathering.drop(association)
            return self._gathered(service, listed, invoke, number, LONG_SET_ABORTED)
        gathering.number = number
        if not last:
            response, kind = (SET_RESPONSE, 2) if service == SET else (ACTION_RESPONSE, 4)
            return self._reply(invoke, struct.pack(">BBBI", response, kind, invoke, number))
        gathering.drop(association)
        whole = Reader(gathering.view())
        if service == ACTION:
            return self._act(association, listed, invoke, whole)
        if not listed:
            code = self._write(association, whole)
            return self._gathered(service, False, invoke, number, code)
        self.out.begin(HEAD)
        self._write_list(association, whole)
        self.out.number(">I", number, 4)
        return self._finish(invoke, bytes((SET_RESPONSE, 4, invoke)))

    def _gathered(self, service, listed, invoke, number, code):
        """The one result with which a long set ends, or a long action that came to nothing."""
        if service == ACTION:
            if code == NO_LONG_SET:
                code = NO_LONG_ACTION
            elif code != READ_WRITE_DENIED:
                code = LONG_ACTION_ABORTED
            return self._reply(invoke, bytes((ACTION_RESPONSE, 1, invoke, code, 0)))
        number = struct.pack(">I", number)
        if listed:
            return self._reply(invoke, bytes((SET_RESPONSE, 4, invoke, 1, code)) + number)
        return self._reply(invoke, bytes((SET_RESPONSE, 3, invoke, code)) + number)


def _need(association, bit):
    """A service that was not negotiated is none."""
    if not association.conformance & bit:
        raise ServiceError(UNKNOWN, NOT_SUPPORTED)


def _descriptor(association, data):
    """(class, logical name, attribute, selection): the last a Reader at the selector, or None."""
    class_id = data.octet() << 8 | data.octet()
    ln = data.take(6)
    attribute = data.octet()
    selection = None
    if data.octet():
        _need(association, acse.SELECTIVE)
        start = data.at
        data.octet()
        data.skip()
        # In a list others follow: it ends where it ends.
        selection = Reader(data.data[: data.at], start)
    return class_id, ln, attribute, selection


def _method(data):
    class_id = data.octet() << 8 | data.octet()
    ln = data.take(6)
    return class_id, ln, data.octet()
