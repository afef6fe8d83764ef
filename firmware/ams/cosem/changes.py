"""What changes something: set and action, alone, listed and in blocks (IEC 62056-5-3)."""

import struct

from micropython import const

from ams.cosem import acse
from ams.cosem.access import PUBLIC
from ams.cosem.answers import (
    ACTION_RESPONSE,
    CONFIRMED,
    HEAD,
    NOT_ALLOWED,
    NOT_SUPPORTED,
    OTHER,
    PDU_TOO_LONG,
    SET_RESPONSE,
    UNKNOWN,
    Answers,
    ServiceError,
    need,
)
from ams.cosem.association import PENDING
from ams.cosem.axdr import NULL, Full, Reader
from ams.cosem.block import Gathering, Transfer
from ams.results import (
    BLOCK_NUMBER_INVALID,
    LONG_ACTION_ABORTED,
    LONG_SET_ABORTED,
    NO_LONG_ACTION,
    NO_LONG_SET,
    OTHER_REASON,
    READ_WRITE_DENIED,
    SCOPE_VIOLATED,
    SUCCESS,
    AccessError,
)

SET = const(0xC1)
ACTION = const(0xC3)


class Changes(Answers):
    """`model` finds the objects (see ams.objects.model)."""

    def __init__(self, model, answer):
        super().__init__(answer)
        self._model = model
        self._commits = getattr(model, "commits", False)
        self._gathering = Gathering()

    # --- set -----------------------------------------------------------------------

    def _set(self, association, kind, invoke, data):
        need(association, acse.SET)
        if kind in (2, 3, 5):
            need(association, acse.BLOCK_SET)
        if kind in (4, 5):
            need(association, acse.MULTIPLE)
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
            self._write_list(association, data, 0)
            return self._finish(invoke, bytes((SET_RESPONSE, 5, invoke)))
        if kind in (2, 5):
            return self._gather_first(association, SET, kind == 5, invoke, data)
        raise ServiceError(UNKNOWN, NOT_SUPPORTED)

    def _write(self, association, data):
        """Result of a set whose descriptor comes next and whose value is all the rest."""
        class_id, ln, attribute, selection = descriptor(association, data)
        value = _value(data)
        data.end()
        return self._write_one(association, class_id, ln, attribute, selection, value)

    def _write_one(self, association, class_id, ln, attribute, selection, value):
        if selection is not None:
            return SCOPE_VIOLATED
        try:
            self._commit(association)
            self._model.set(class_id, ln, attribute, association.who, value, association)
        except AccessError as error:
            return error.code
        return SUCCESS

    def _write_list(self, association, data, behind):
        """Descriptors, then as many values; the results go to the answer.

        `behind`: octets that follow them there.
        """
        descriptors = Reader(data.data, data.at)
        count = data.count()
        for _ in range(count):
            descriptor(association, data)
        _check_values(data, count)
        if 4 + (count > 0x7F) + count + behind > association.limit:
            # There is no way to cut these results: nothing is done that could not be told.
            raise ServiceError(NOT_ALLOWED, PDU_TOO_LONG)
        self.out.count(descriptors.count())
        for _ in range(count):
            class_id, ln, attribute, selection = descriptor(association, descriptors)
            value = _value(data)
            self.out.octet(self._write_one(association, class_id, ln, attribute, selection, value))

    def _commit(self, association):
        """Where the model does not do it itself, behind its look at the rights."""
        if not self._commits:
            association.commit()

    # --- action --------------------------------------------------------------------

    def _action(self, association, kind, invoke, data):
        if association.state != PENDING:
            # The proof is an action that every client may send.
            need(association, acse.ACTION)
        if kind in (2, 4, 5, 6):
            need(association, acse.BLOCK_ACTION)
        if kind in (3, 5):
            need(association, acse.MULTIPLE)
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
            value = _value(data) if data.octet() else None
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
        if value is not None and value.peek() == NULL:
            # A list cannot leave out the parameters of a method that has none.
            value = None
        code = SUCCESS
        try:
            self._commit(association)
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
        _check_values(data, count)
        stage.count(methods.count())
        for _ in range(count):
            class_id, ln, method = _method(methods)
            self._act_one(association, class_id, ln, method, _value(data), stage)

    # --- what comes in blocks --------------------------------------------------------

    def _gather_first(self, association, service, listed, invoke, data):
        """The descriptors and the first block: gathered, they are as the request in one piece."""
        start = data.at
        for _ in range(data.count() if listed else 1):
            if service == SET:
                descriptor(association, data)
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
        self._write_list(association, whole, 4)
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


def descriptor(association, data):
    """(class, logical name, attribute, selection): the last a Reader at the selector, or None."""
    class_id = data.octet() << 8 | data.octet()
    ln = data.take(6)
    attribute = data.octet()
    selection = None
    if data.octet():
        need(association, acse.SELECTIVE)
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


def _value(data):
    """A Reader of the value that comes next: it ends where the value ends, others may follow."""
    start = data.at
    data.skip()
    return Reader(data.data[: data.at], start)


def _check_values(data, count):
    """As many values as there were names, and nothing behind them, or nothing is done."""
    if data.count() != count:
        raise ServiceError(NOT_ALLOWED, OTHER)
    check = Reader(data.data, data.at)
    for _ in range(count):
        check.skip()
    check.end()
