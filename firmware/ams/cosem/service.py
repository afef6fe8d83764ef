"""The services on objects: get, set and action, alone, listed and in blocks (IEC 62056-5-3).

A request is read where it lies, an answer is made in the one `Answer` of the
server. `handle` returns whether there is an answer.
"""

from micropython import const

from ams.cosem import acse
from ams.cosem.answers import (
    CONFIRMED,
    GET_RESPONSE,
    NOT_ALLOWED,
    NOT_SUPPORTED,
    OTHER,
    PDU_TOO_LONG,
    UNKNOWN,
    ServiceError,
    need,
)
from ams.cosem.association import PDU_MIN
from ams.cosem.axdr import Full, Reader
from ams.cosem.block import Transfer
from ams.cosem.changes import ACTION, SET, Changes, descriptor
from ams.results import OTHER_REASON, AccessError

GET = const(0xC0)


class Services(Changes):
    def handle(self, association, apdu):
        """Serves one plain APDU; False: there is nothing to answer."""
        data = Reader(apdu)
        try:
            service = data.octet()
            kind = data.octet()
            invoke = data.octet()
            if association.silent:
                invoke &= ~CONFIRMED
            elif not invoke & CONFIRMED:
                association.silent = True
            elif association.limit < PDU_MIN:
                # Ciphered there is no room for any answer: nothing is done that could not be
                # told. General blocks cut what is longer.
                raise ServiceError(NOT_ALLOWED, PDU_TOO_LONG)
            if service == GET:
                if association.silent:
                    return False  # to read is to be answered
                return self._get(association, kind, invoke, data)
            if service == SET:
                return self._set(association, kind, invoke, data)
            if service == ACTION:
                return self._action(association, kind, invoke, data)
        except (AccessError, Full):
            # What cannot even be read, or a value of a list that broke off behind its begin:
            # what else goes wrong in an object is answered below.
            raise ServiceError(NOT_ALLOWED, OTHER)
        raise ServiceError(UNKNOWN, NOT_SUPPORTED)

    def forget(self, association):
        """Its transfers end."""
        self._end(association)
        self._gathering.drop(association)

    # --- get -----------------------------------------------------------------------

    def _get(self, association, kind, invoke, data):
        need(association, acse.GET)
        if kind == 2:
            need(association, acse.BLOCK_GET)
            return self._next(association, GET_RESPONSE, invoke, data)
        self._end(association)
        if kind == 1:
            class_id, ln, attribute, selection = descriptor(association, data)
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
            need(association, acse.MULTIPLE)
            # The request is gone before the last block: a copy stays.
            data = Reader(bytes(data.data), data.at)
            check = Reader(data.data, data.at)
            for _ in range(check.count()):
                descriptor(association, check)
            check.end()
            stage = self._stage()
            pieces = self._listed(association, data, stage)
            transfer = Transfer(stage, pieces, GET_RESPONSE)
            return self._send(association, transfer, bytes((GET_RESPONSE, 3, invoke)))
        raise ServiceError(UNKNOWN, NOT_SUPPORTED)

    def _listed(self, association, data, stage):
        """One value after the other, each with its result."""
        count = data.count()
        stage.count(count)
        for _ in range(count):
            yield
            class_id, ln, attribute, selection = descriptor(association, data)
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
