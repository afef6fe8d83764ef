"""Profile generic (class 7): what the rings of the flash hold, by range and by entry.

Rows go out one by one, so that a whole profile costs the memory of a piece.
"""

import struct

from ams.cosem import datetime
from ams.cosem.access import INTERNAL, PIECE
from ams.cosem.axdr import OCTET_STRING, UINT16, UINT32, Reader
from ams.objects.columns import CLOCK_LN, RowWriter, columns_of, unpacker
from ams.objects.view import View, no_parameter
from ams.results import (
    OTHER_REASON,
    READ_WRITE_DENIED,
    SCOPE_VIOLATED,
    TEMPORARY_FAILURE,
    TYPE_UNMATCHED,
    AccessError,
)

_FIFO = 1
_NO_OBJECT = bytes(6)
_COLUMNS_MAX = 64
_LATEST_MS = 4294967295000
# Rows that one request may have looked through for a value: some 150 ms of an RP2040, whose
# samples wait meanwhile. By the clock they are found for the price of some.
_SCAN_MAX = 300
_SEARCH = 75


class Profile(View):
    """`argument` names the profile: see columns."""

    class_id = 7
    version = 1
    attributes = 8
    methods = 2

    def __init__(self, ln, model, argument=None):
        super().__init__(ln, model, argument)
        self._log = ln[4] if argument == "events" else 0
        self._columns = columns_of(argument, self._log, model.transformers)
        self._ring = model.ring(argument, self._log)

    # --- attributes ------------------------------------------------------------------

    def get(self, attribute, out, selection=None):
        if attribute == 2:
            return self._buffer(out, selection)
        return super().get(attribute, out, selection)

    def read(self, attribute, out):
        if attribute == 3:
            return self._capture_objects(out)
        if attribute == 4:
            out.uint32(self.model.period_s(self.argument))
        elif attribute == 5:
            out.enum(_FIFO)
        elif attribute == 6:
            out.structure(4)
            out.uint16(0)
            out.octets(_NO_OBJECT)
            out.int8(0)
            out.uint16(0)
        elif attribute == 7:
            out.uint32(self._ring.count())
        else:
            out.uint32(self._ring.capacity())
        return None

    def entries_in_use(self):
        return self._ring.count()

    def _capture_objects(self, out):
        out.array(len(self._columns))
        for column in self._columns:
            out.structure(4)
            out.uint16(column[0])
            out.octets(column[1])
            out.int8(column[2])
            out.uint16(0)
            yield

    def set(self, attribute, data, who):
        if attribute != 4 or self.argument != "load":
            raise AccessError(READ_WRITE_DENIED)
        period_s = data.integer(UINT32)
        data.end()
        try:
            self.meter.set_capture_period(period_s)
        except ValueError:
            raise AccessError(OTHER_REASON)

    def call(self, method, data, out, who):
        """Nothing is ever cleared, and nothing captured but at its time, or by its script."""
        no_parameter(data)
        if method == 2 and who & INTERNAL and self.argument == "monthly":
            return self.model.end_billing_period()
        raise AccessError(READ_WRITE_DENIED)

    # --- buffer ----------------------------------------------------------------------

    def _buffer(self, out, selection):
        chosen = list(range(len(self._columns)))
        if selection is None:
            span = self._ring.all() + (None,)
        else:
            selector = selection.octet()
            if selector == 1:
                span, chosen = self._by_range(selection)
            elif selector == 2:
                span, chosen = self._by_entry(selection)
            else:
                raise AccessError(SCOPE_VIOLATED)
        return self._rows(out, span, chosen)

    def _rows(self, out, span, chosen):
        """`span`: (rows, runs of numbers, test or None)."""
        left, runs, test = span
        writer = RowWriter(self.argument, self._columns, chosen, self.model.stamp)
        if writer.size > PIECE:
            # Columns may be named again and again, but no row is longer than a piece.
            raise AccessError(OTHER_REASON)
        out.array(left)
        begun = 0
        rows = self._found(runs, test)
        while left:
            if out.length - begun + writer.size > PIECE or out.length + writer.size > out.size:
                yield
                begun = out.length
            # What went while the answer was on its way was promised all the same.
            row = next(rows, None)
            if row is None:
                writer.write_gap(out)
            else:
                writer.write(out, row)
            left -= 1

    def _found(self, runs, test):
        """Yields the rows, None for each that can no longer be read."""
        unpack = unpacker(self.argument, self.model.transformers)
        for first, last in runs:
            number = first
            for data in self._ring.entries(first, last):
                found = struct.unpack_from("<I", data, 0)[0]
                row = unpack(data)
                if test is None:
                    while number < found:
                        yield None
                        number += 1
                    number += 1
                elif not test(row):
                    continue
                yield row
            while test is None and number <= last:
                yield None
                number += 1

    # --- selective access --------------------------------------------------------------

    def _column(self, data):
        """The index of the column that a capture object definition names."""
        data.structure(4)
        class_id = data.integer(UINT16)
        ln = bytes(data.octets(6))
        attribute = data.any_integer()[1]
        data.integer(UINT16)
        for index, column in enumerate(self._columns):
            if column[0] == class_id and column[1] == ln and column[2] == attribute:
                return index
        raise AccessError(SCOPE_VIOLATED)

    def _by_range(self, data):
        data.structure(4)
        column = self._columns[self._column(data)]
        if column[1] == CLOCK_LN:
            low = self._time(data, False)
            high = self._time(data, True)
            span = self._between(column[3], low, high)
        else:
            low = data.any_integer()[1]
            high = data.any_integer()[1]
            field = column[4]
            span = self._filtered(lambda row: low <= row[field] <= high)
        chosen = []
        for _ in range(data.array(_COLUMNS_MAX)):
            chosen.append(self._column(data))
        data.end()
        return span, chosen or list(range(len(self._columns)))

    def _time(self, data, end):
        """A bound in ms; None: there is none."""
        tag = data.peek()
        if tag == OCTET_STRING:
            octets = data.octets(datetime.SIZE)
        elif tag == 0x19:
            data.octet()
            octets = data.take(datetime.SIZE)
        else:
            raise AccessError(TYPE_UNMATCHED)
        return datetime.parse(octets, self.meter.local_clock, end)

    def _between(self, kind, low, high):
        """Bounds count to the second; what lies before or behind all time is cut."""
        self._spend(_SEARCH)
        low = 0 if low is None else max(low, 0)
        high = _LATEST_MS if high is None else high
        from_s = low // 1000 if kind == "M" else -(-low // 1000)
        return self._ring.between(from_s, high // 1000) + (None,)

    def _filtered(self, test):
        """The span of those rows alone that pass: they are counted first."""
        rows = self._ring.count()
        if self.argument == "events":
            # What a log keeps beside its ring is read at once.
            rows = min(rows, _SCAN_MAX)
        if rows > _SCAN_MAX:
            raise AccessError(SCOPE_VIOLATED)
        self._spend(rows)
        unpack = unpacker(self.argument, self.model.transformers)
        count = 0
        runs = self._ring.all()[1]
        for first, last in runs:
            for data in self._ring.entries(first, last):
                if test(unpack(data)):
                    count += 1
        return count, runs, test

    def _spend(self, rows):
        """A request may have so many rows looked at: a list could ask for more, the next may."""
        session = self.session
        if session is not None:
            if session.scanned + rows > _SCAN_MAX:
                raise AccessError(TEMPORARY_FAILURE)
            session.scanned += rows

    def _by_entry(self, data):
        data.structure(4)
        first = data.integer(UINT32)
        last = data.integer(UINT32)
        from_column = data.integer(UINT16)
        to_column = data.integer(UINT16)
        data.end()
        span = self._ring.slice(max(first, 1), last) + (None,)
        columns = len(self._columns)
        from_column = max(from_column, 1)
        to_column = min(to_column or columns, columns)
        if from_column > to_column:
            raise AccessError(SCOPE_VIOLATED)
        return span, list(range(from_column - 1, to_column))


def range_selection(clock_from, clock_to):
    """A Reader of selector 1 for the rows between two date-times: for what the meter sends."""
    head = b"\x01\x02\x04\x02\x04\x12\x00\x08\x09\x06" + CLOCK_LN + b"\x0f\x02\x12\x00\x00"
    return Reader(head + b"\x09\x0c" + clock_from + b"\x09\x0c" + clock_to + b"\x01\x00")
