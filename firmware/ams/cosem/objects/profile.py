"""Profile generic (class 7): what the rings of the flash hold, by range and by entry.

Rows go out one by one, so that a whole profile costs the memory of a piece.
"""

from ams.cosem import datetime
from ams.cosem.axdr import OCTET_STRING, UINT16, UINT32, Reader
from ams.cosem.objects.base import PIECE
from ams.cosem.objects.columns import CLOCK_LN, RowWriter, columns_of, unpacker
from ams.cosem.objects.view import View, no_parameter
from ams.cosem.results import (
    BLOCK_UNAVAILABLE,
    OTHER_REASON,
    READ_WRITE_DENIED,
    SCOPE_VIOLATED,
    TYPE_UNMATCHED,
    AccessError,
)

_FIFO = 1
_NO_OBJECT = bytes(6)
_COLUMNS_MAX = 64


class Profile(View):
    """`argument` names the profile: see columns."""

    class_id = 7
    version = 1
    attributes = 8
    methods = 2

    def __init__(self, ln, model, argument=None):
        super().__init__(ln, model, argument)
        self._log = ln[4] if argument == "events" else 0
        self._columns = columns_of(argument, self._log)
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
        """Nothing is ever cleared, and nothing captured but at its time."""
        no_parameter(data)
        raise AccessError(READ_WRITE_DENIED)

    # --- buffer ----------------------------------------------------------------------

    def _buffer(self, out, selection):
        chosen = list(range(len(self._columns)))
        if selection is None:
            span = self._ring.all()
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
        """`span`: (rows, first, last, test) of the ring."""
        count, first, last, test = span
        out.array(count)
        writer = RowWriter(self.argument, self._columns, chosen, self.model.stamp)
        unpack = unpacker(self.argument)
        begun = 0
        left = count
        for data in self._ring.entries(first, last):
            if not left:
                break
            row = unpack(data)
            if test is not None and not test(row):
                continue
            left -= 1
            if out.length - begun + writer.size > PIECE or out.length + writer.size > out.size:
                yield
                begun = out.length
            writer.write(out, row)
        if left:
            # The oldest rows went while the newest were coming.
            raise AccessError(BLOCK_UNAVAILABLE)

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
        if column[3] in ("T", "M"):
            low = self._time(data, False)
            high = self._time(data, True)
            span = self._between(column, low, high)
        else:
            low = data.any_integer()[1]
            high = data.any_integer()[1]
            field = column[4]
            test = lambda row: low <= row[field] <= high  # noqa: E731
            span = self._filtered(self._ring.all(), test)
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

    def _between(self, column, low, high):
        field = column[4]
        unit = 1000 if column[3] == "T" else 1
        if low is None:
            low = 0
        if high is None:
            high = 1 << 50
        span, exact = self._ring.between(low, high)
        if exact or not span[0]:
            return span
        low = -(-low // unit)
        high = high // unit
        return self._filtered(span, lambda row: low <= row[field] <= high)

    def _filtered(self, span, test):
        """The span of those rows alone that pass: they are counted first."""
        unpack = unpacker(self.argument)
        count = 0
        for data in self._ring.entries(span[1], span[2]):
            if test(unpack(data)):
                count += 1
        return count, span[1], span[2], test

    def _by_entry(self, data):
        data.structure(4)
        first = data.integer(UINT32)
        last = data.integer(UINT32)
        from_column = data.integer(UINT16)
        to_column = data.integer(UINT16)
        data.end()
        span = self._ring.slice(max(first, 1), last)
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
