"""What arrives whole and says what nobody would say: each reader gives a list or a HanError, soon.

Lists are built of the values that there are, in the forms of lists and almost in them; checks are
right, so that what is read is what is inside.
"""

from __future__ import annotations

import json

import pytest
from hanrequests import request
from hypothesis import given, settings
from hypothesis import strategies as st
from push_request import handle

from openams.han.errors import HanError
from openams.han.frames import crc_x25
from openams.han.reader import decode_frame
from openams.han.reading import format_reading, reading_to_json
from openams.han.sml import _Octets as SmlReader

CODES = (
    "0000010000ff", "0100010700ff", "01001f0700ff", "0100200700ff", "0100010800ff", "0101000281ff",
    "0000600100ff", "0000600e00ff", "0000110000ff", "00001f0000ff", "0000600300ff", "0000600d00ff",
    "0006190900ff", "0100510704ff", "01000d0700ff", "0100000901ff", "0001600310ff", "00002a0000ff",
)  # fmt: skip
CLOCK = bytes.fromhex("07ea011e050a0000ff800000")


def sized(tag, size, values):
    return values.map(lambda value: bytes((tag, *value.to_bytes(size, "big"))))


def octets_of(tag):
    return st.binary(max_size=20).map(lambda data: bytes((tag, len(data))) + data)


def whole(size):
    few = st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)).map(lambda value: value % (1 << 8 * size))
    return few | st.integers(0, (1 << 8 * size) - 1)


def joined(parts):
    return b"".join(parts)


CODE = st.sampled_from(CODES).map(bytes.fromhex) | st.binary(min_size=4, max_size=8)
CODED = CODE.map(lambda code: bytes((9, len(code))) + code)
# The clock with parts that cannot be, or that are not said.
TIME = st.builds(
    lambda at, value: CLOCK[:at] + bytes((value,)) + CLOCK[at + 1 :],
    st.integers(0, 11), st.sampled_from((0, 2, 31, 60, 0xFF)),
)  # fmt: skip
LEAF = st.one_of(
    st.just(b"\0"), CODED, TIME.map(lambda data: b"\x09\x0c" + data), octets_of(9), octets_of(10),
    *(sized(tag, size, whole(size)) for tag, size in
      ((3, 1), (5, 4), (6, 4), (15, 1), (16, 2), (17, 1), (18, 2), (20, 8), (21, 8), (22, 1))),
    st.sampled_from((b"T1", b"T", b"", b"\x01", b"Tx")).map(lambda s: bytes((9, len(s))) + s),
    st.sampled_from(("Kamstrup_V0001", "KFM_001", "AIDON_V0001")).map(
        lambda text: bytes((10, len(text))) + text.encode()
    ),
)  # fmt: skip
SCALER = st.builds(lambda a, b: b"\x02\x02" + a + b, LEAF, LEAF) | st.just(
    b"\x02\x02\x0f\xff\x16\x1b"
)


def holding(tag, items):
    return bytes((tag, len(items))) + joined(items)


ELEMENT = st.builds(lambda *parts: holding(2, parts), CODED, LEAF, SCALER) | st.builds(
    lambda *parts: holding(2, parts), CODED, LEAF
)
ITEMS = st.recursive(
    LEAF | ELEMENT,
    lambda inner: st.builds(holding, st.sampled_from((1, 2)), st.lists(inner, max_size=6)),
)
PAIRS = st.lists(st.tuples(CODED, LEAF).map(joined), max_size=9)
VERSION = st.sampled_from(("Kamstrup_V0001", "KFM_001")).map(
    lambda text: bytes((10, len(text))) + text.encode()
)


def objects(rows):
    """A push that lists its objects before their values."""
    listed = holding(1, [holding(2, row[:4]) for row in rows])
    return holding(2, [listed, *(row[4] for row in rows[1:])])


OBJECTS = st.lists(
    st.tuples(
        whole(1).map(lambda c: bytes((18, 0, c))), CODED, LEAF, LEAF | st.just(b"\x11\0"), LEAF
    ),
    min_size=1, max_size=6,
).map(objects)  # fmt: skip
BODY = st.one_of(
    ITEMS,
    st.lists(ELEMENT | ITEMS, max_size=8).map(lambda items: holding(1, items)),
    st.lists(ELEMENT | LEAF | CODED, max_size=14).map(lambda items: holding(2, items)),
    # By place, by code, and by code after a version.
    st.lists(LEAF, min_size=9, max_size=9).map(lambda items: holding(2, items)),
    PAIRS.map(lambda pairs: bytes((2, 2 * len(pairs))) + joined(pairs)),
    st.builds(lambda v, pairs: bytes((2, 1 + 2 * len(pairs))) + v + joined(pairs), VERSION, PAIRS),
    OBJECTS,
)


def framed(header, body):
    head = b"" if header is None else header
    information = b"\xe6\xe7\x00\x0f\x40\x00\x00\x00" + bytes((len(head),)) + head + body
    length = 2 + 4 + 2 + len(information) + 2
    frame = bytes([0xA0 | length >> 8, length & 0xFF]) + b"\x41\x08\x83\x13"
    frame += crc_x25(frame).to_bytes(2, "little") + information
    return frame + crc_x25(frame).to_bytes(2, "little")


def read(octets):
    """What is read is also shown, and told as JSON that is some."""
    try:
        reading = decode_frame(octets)
    except HanError:
        return
    format_reading(reading)
    json.loads(json.dumps(reading_to_json(reading), allow_nan=False))


@given(st.none() | TIME, BODY)
@settings(max_examples=1500, deadline=None)
def test_any_list_in_a_good_notification_is_read_or_refused(header, body):
    if len(body) < 1900:
        read(framed(header, body))


def test_a_scaler_of_eight_octets_is_refused_and_not_reckoned():
    element = b"\x02\x03\x09\x06\x01\x00\x01\x07\x00\xff\x06\x00\x00\x00\x01\x02\x02\x14"
    for tag in (b"\x01", b"\x02"):
        with pytest.raises(HanError):
            decode_frame(framed(None, tag + b"\x01" + element + b"\x7f" * 8 + b"\x16\x1b"))


# --- SML ---------------------------------------------------------------------------------


def node(kind, value):
    """An element of a file: list, octets, or a number of so many octets."""
    if kind == "l":
        return length(7, len(value)) + joined(value)
    return length({"s": 0, "b": 4, "i": 5, "u": 6}[kind], len(value), True) + value


def length(kind, size, with_head=False):
    for heads in (1, 2):
        total = size + (heads if with_head else 0)
        if total < 16**heads:
            break
    digits = [total >> 4 * (heads - 1 - k) & 15 for k in range(heads)]
    octets = [digit | (0x80 if k < heads - 1 else 0) for k, digit in enumerate(digits)]
    octets[0] |= kind << 4
    return bytes(octets)


def tree(data):
    """The messages of a file, elements as (kind, value)."""
    reader = SmlReader(data[8 : -8 - data[-3]].replace(b"\x1b" * 8, b"\x1b" * 4))
    out = []
    while reader.rest:
        assert reader.octet() == 0x76
        message = [plain(reader.node()) for _ in range(4)]
        reader.node(), reader.octet()
        out.append(message)
    return out


def plain(found):
    if found.kind == "l":
        return "l", [plain(inner) for inner in found.value]
    if found.kind == "s":
        return "s", found.value
    return found.kind, found.value.to_bytes(found.octets, "big", signed=found.kind == "i")


def octets(element):
    kind, value = element
    return node(kind, [octets(inner) for inner in value] if kind == "l" else value)


def file(messages):
    body = b""
    for message in messages:
        said = b"\x76" + joined(map(octets, message))
        check = int.from_bytes(crc_x25(said).to_bytes(2, "little"), "big")
        body += said + b"\x63" + check.to_bytes(2, "big") + b"\0"
    body = body.replace(b"\x1b" * 4, b"\x1b" * 8)
    padding = -len(body) % 4
    whole = b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01" + body + bytes(padding)
    whole += b"\x1b\x1b\x1b\x1b\x1a" + bytes((padding,))
    return whole + crc_x25(whole).to_bytes(2, "little")


def places(elements, way=()):
    for k, (kind, value) in enumerate(elements):
        yield (*way, k)
        if kind == "l":
            yield from places(value, (*way, k))


def changed(messages, way, other):
    """With another element at a place; () takes it out."""
    out = [list(message) for message in messages]

    def inside(elements, way):
        elements = list(elements)
        if len(way) == 1:
            elements[way[0] : way[0] + 1] = other
        else:
            kind, value = elements[way[0]]
            elements[way[0]] = kind, inside(value, way[1:])
        return elements

    number, *rest = way
    out[number] = inside(out[number], rest)
    return out


SML = handle(request("sml", "emh"))
SML_NODES = st.recursive(
    st.tuples(st.sampled_from("iu"), st.binary(min_size=1, max_size=9))
    | st.tuples(st.just("s"), st.binary(max_size=12) | st.sampled_from(CODES).map(bytes.fromhex))
    | st.tuples(st.just("b"), st.binary(min_size=1, max_size=1)),
    lambda inner: st.tuples(st.just("l"), st.lists(inner, max_size=7)),
    max_leaves=8,
)


def test_a_file_that_is_built_anew_is_the_same():
    data = SML
    assert file(tree(data)) == data


@given(st.data())
@settings(max_examples=800, deadline=None)
def test_any_sml_file_with_good_checks_is_read_or_refused(data):
    messages = tree(SML)
    for _ in range(data.draw(st.integers(1, 3))):
        everywhere = [(k, *way) for k, message in enumerate(messages) for way in places(message)]
        way = data.draw(st.sampled_from(everywhere))
        messages = changed(messages, way, data.draw(st.lists(SML_NODES, max_size=2)))
    read(file(messages))


# --- P1 ----------------------------------------------------------------------------------

NUMBERS = st.sampled_from((
    "0", "1.5*kW", "NaN*kW", "Infinity", "-Infinity*V", "1E999999999*kWh", "1E-999999999", "sNaN",
    "230.1*V", "", "*", "260230000000W", "991332256199S", "000000000000W", "1_0*kW", "٣*kW",
    "9" * 900 + "*kW",
))  # fmt: skip
NAMES = st.sampled_from((
    "1-0:1.7.0", "1-0:2.7.0", "1-0:32.7.0", "1-0:31.7.0", "1-0:1.8.0", "1-0:1.8.1", "1-0:5.7.0",
    "0-0:1.0.0", "1-3:0.2.8", "0-0:96.1.4", "0-0:42.0.0", "1-0:13.7.0", "1-0:14.7.0",
    "1-0:" + "1" * 900 + ".7.0", "1-0:1." + "8" * 900 + ".0", "1-0:1.8." + "7" * 900,
))  # fmt: skip


@given(st.lists(st.tuples(NAMES, st.lists(NUMBERS, min_size=1, max_size=3)), max_size=9))
@settings(max_examples=800, deadline=None)
def test_any_telegram_with_a_good_check_is_read_or_refused(lines):
    from openams.han.frames import crc_p1

    said = [f"{name}{''.join(f'({text})' for text in groups)}" for name, groups in lines]
    telegram = "/ABC5meter\r\n\r\n" + "".join(line + "\r\n" for line in said) + "!"
    data = telegram.encode()
    read(data + f"{crc_p1(data):04X}\r\n".encode())
