"""The messages of the host client, octet by octet: against the Green Book's examples, and against
what dlms-cosem and gurux-dlms write and read."""

from __future__ import annotations

import pytest
from dlms_cosem.connection import XDlmsApduFactory
from dlms_cosem.cosem import CosemAttribute, CosemMethod, Obis
from dlms_cosem.enumerations import CosemInterface
from dlms_cosem.protocol import acse as u9n_acse
from dlms_cosem.protocol import xdlms
from dlms_cosem.protocol.xdlms.invoke_id_and_priority import InvokeIdAndPriority
from gurux_dlms import GXByteBuffer, GXDLMSClient
from gurux_dlms.enums import Authentication, Conformance, DataType, InterfaceType
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.internal._GXDataInfo import _GXDataInfo
from gurux_dlms.objects import GXDLMSData
from hypothesis import given
from hypothesis import strategies as st

from openams.client import acse, apdu, errors
from openams.client import data as axdr
from openams.client.apdu import Kind, Response, Service
from openams.client.ciphering import Cipher
from openams.client.errors import ClientError, RefusedError, ServiceError
from openams.han.cipher import Keys

KEYS = Keys(bytes(range(16)), bytes(range(0xD0, 0xE0)))
# Of the examples of the Green Book.
CLIENT, METER = bytes.fromhex("4D4D4D0000000001"), bytes.fromhex("4D4D4D0000BC614E")
NUMBER = 0x01234567
LN = "0.0.96.1.0.255"
WHAT = apdu.descriptor(1, LN, 2)
SHORT = st.binary(max_size=40)


def cipher(title=METER, meter=CLIENT, number=NUMBER):
    return Cipher(title, KEYS, meter, lambda: number)


def far_end(number):
    """A cipher in the meter's place: what it seals the client opens."""
    return cipher(CLIENT, METER, number)


# --- ciphering -----------------------------------------------------------------------------


def test_the_examples_of_the_green_book():
    sealed = cipher().seal(bytes.fromhex("C0010000080000010000FF0200"))
    assert sealed[:10] == b"\xdb\x08" + METER and sealed[10] == len(sealed) - 11
    assert sealed[11:].hex().upper() == (
        "3001234567411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B"
    )
    initiate = "01011000112233445566778899AABBCCDDEEFF0000065F1F0400007E1F04B0"
    assert cipher().seal_initiate(bytes.fromhex(initiate)).hex().upper() == (
        "21303001234567801302FF8A7874133D414CED25B42534D28DB0047720606B175BD52211BE6841DB204D39EE"
        "6FDB8E356855"
    )
    assert cipher(CLIENT, METER, 1).proof(b"P6wRJ21F").hex().upper() == (
        "10000000011A52FE7DD3E72748973C1E28"
    )
    theirs = bytes.fromhex("1001234567FE1466AFB3DBCD4F9389E2B7")
    assert cipher(CLIENT, METER).is_proof(theirs, b"K56iVagY")


@pytest.mark.parametrize("size", [1, 110, 111, 127, 128, 300, 60000])
def test_a_long_ciphered_message_has_a_length_that_gurux_reads(size):
    octets = cipher().seal(bytes(size))
    content = _GXCommon.getData(None, GXByteBuffer(b"\x09" + octets[10:]), _GXDataInfo())
    assert bytes(content[:5]) == b"\x30\x01\x23\x45\x67" and len(content) == size + 17


@given(st.lists(st.tuples(st.integers(1, 0xFFFFFFFF), st.binary(min_size=1)), min_size=1))
def test_answers_are_opened_once_and_in_order(answers):
    ours, newest = cipher(), 0
    for number, plain in answers:
        sealed = far_end(number).seal(plain)
        if number > newest:
            assert ours.open(sealed) == plain
            newest = number
        with pytest.raises(ClientError, match="counter"):
            ours.open(sealed)
        assert ours.received == newest


@given(st.binary(min_size=1, max_size=60), st.integers(0), st.integers(1, 255))
def test_a_changed_answer_is_none(plain, place, change):
    sealed = bytearray(far_end(7).seal(plain))
    sealed[place % len(sealed)] ^= change
    ours = cipher()
    with pytest.raises(ClientError, match="the meter's answer"):
        ours.open(bytes(sealed))
    # Nor does it use up the number of the true one.
    assert ours.open(far_end(7).seal(plain)) == plain


@given(st.binary(max_size=60))
def test_no_octets_stop_the_cipher_otherwise(octets):
    for read in (cipher().open, cipher().open_initiate):
        with pytest.raises(ClientError):
            read(octets)


@pytest.mark.parametrize("control", [0x00, 0x10, 0x20, 0x31, 0x70, 0xB0])
def test_what_is_not_authenticated_and_encrypted_is_none(control):
    sealed = bytearray(far_end(7).seal(b"\xc5\x01\xc1\x00"))
    sealed[11] = control
    with pytest.raises(ClientError, match="not authenticated and encrypted"):
        cipher().open(bytes(sealed))


@given(st.one_of(st.binary(max_size=20), st.binary(min_size=17, max_size=17)), st.binary())
def test_only_the_meter_proves_its_keys(proof, challenge):
    ours = cipher(CLIENT, METER)
    assert not ours.is_proof(proof, challenge)
    assert not ours.is_proof(ours.proof(challenge), challenge), "our own is none"
    theirs = cipher(METER, CLIENT).proof(challenge)
    assert ours.is_proof(theirs, challenge)
    assert not ours.is_proof(theirs[:-1], challenge) and not ours.is_proof(b"", challenge)


# --- requests ------------------------------------------------------------------------------


@given(
    st.sampled_from([1, 3, 7, 15, 18, 70]),
    st.tuples(*[st.integers(0, 255)] * 6),
    st.integers(1, 127),
    st.integers(1, 15),
    st.binary(min_size=1, max_size=300),
)
def test_requests_are_what_dlms_cosem_writes(class_id, name, number, invoke, octets):
    obis = ".".join(map(str, name))
    what = apdu.descriptor(class_id, obis, number)
    interface, theirs = CosemInterface(class_id), Obis(*name)
    attribute = CosemAttribute(interface, theirs, number)
    marked = {"invoke_id_and_priority": InvokeIdAndPriority(invoke)}
    value = axdr.octets(octets)
    invoke |= 0xC0
    assert apdu.get(invoke, what, b"") == xdlms.GetRequestNormal(attribute, **marked).to_bytes()
    request = xdlms.GetRequestNext(number, **marked)
    assert apdu.next_block(Service.GET, invoke, number) == request.to_bytes()
    request = xdlms.SetRequestNormal(attribute, value, **marked)
    assert apdu.set_(invoke, what, value) == request.to_bytes()
    request = xdlms.ActionRequestNormal(CosemMethod(interface, theirs, number), value, **marked)
    assert apdu.action(invoke, what, value) == request.to_bytes()


def gurux(pdu_max=64):
    client = GXDLMSClient(True, 16, 1, Authentication.NONE, None, InterfaceType.WRAPPER)
    client.negotiatedConformance = (
        client.proposedConformance
        | Conformance.BLOCK_TRANSFER_WITH_SET_OR_WRITE
        | Conformance.BLOCK_TRANSFER_WITH_ACTION
    )
    client.maxReceivePDUSize = pdu_max
    return client


@given(st.binary(min_size=70, max_size=400))
def test_requests_in_blocks_are_what_gurux_writes(octets):
    client, thing = gurux(), GXDLMSData(LN)
    thing.value = octets
    thing.setDataType(2, DataType.OCTET_STRING)
    frames = client.write(thing, 2), client.method(thing, 2, bytearray(octets), 9)
    for write, head, sent in zip(
        (apdu.set_block, apdu.action_block), (13, 12), frames, strict=True
    ):
        value = b""
        for count, frame in enumerate(sent):
            frame = bytes(frame)[8:]
            start = (3 if count else head) + 5
            reader = axdr.Reader(frame[start:])
            piece = reader.take(reader.length())
            value += piece
            # At some lengths it does not mark the last one (1.0.203).
            last = bool(frame[start - 5])
            assert frame == write(0xC1, WHAT, count + 1, last, piece)
        assert value == axdr.octets(octets)


@pytest.mark.parametrize(("class_id", "number"), [(-1, 2), (0x10000, 2), (1, -1), (1, 256)])
def test_what_cannot_be_named_is_one_line(class_id, number):
    with pytest.raises(ClientError, match="none that there can be"):
        apdu.descriptor(class_id, LN, number)


# --- answers -------------------------------------------------------------------------------

HEX = bytes.fromhex
RESPONSES = [
    ("C401C1000600000007", Response(0xC4, 0xC1, data=HEX("0600000007"))),
    ("C401C10103", Response(0xC4, 0xC1, result=3)),
    ("C402C100000000010003010203", Response(0xC4, 0xC1, Kind.BLOCK, 0, b"\1\2\3", 1, False)),
    ("C402C1010000000200820001FF", Response(0xC4, 0xC1, Kind.BLOCK, 0, b"\xff", 2)),
    ("C402C1010000000201 13", Response(0xC4, 0xC1, Kind.BLOCK, 19, b"", 2)),
    ("C501C100", Response(0xC5, 0xC1)),
    ("C501C10C", Response(0xC5, 0xC1, result=12)),
    ("C502C100000001", Response(0xC5, 0xC1, Kind.TAKEN, block=1, last=False)),
    ("C503C10000000002", Response(0xC5, 0xC1, block=2)),
    ("C701C10000", Response(0xC7, 0xC1)),
    ("C701C10300", Response(0xC7, 0xC1, result=3)),
    ("C701C100010009020102", Response(0xC7, 0xC1, data=HEX("09020102"))),
    ("C701C100010104", Response(0xC7, 0xC1, result=4)),
    ("C702C1000000000102AABB", Response(0xC7, 0xC1, Kind.BLOCK, 0, b"\xaa\xbb", 1, False)),
    ("C704C100000001", Response(0xC7, 0xC1, Kind.TAKEN, block=1, last=False)),
]


@pytest.mark.parametrize(("octets", "read"), RESPONSES)
def test_answers_of_every_kind(octets, read):
    octets = HEX(octets)
    assert apdu.response(octets) == read
    for cut in range(len(octets)):
        try:
            apdu.response(octets[:cut])
        except ClientError as error:
            assert "the meter's answer" in str(error)
        else:
            # A value is looked at by who wants it.
            assert read.data and read.kind is Kind.WHOLE
    if not (read.data and read.kind is Kind.WHOLE):
        with pytest.raises(ClientError, match="too many"):
            apdu.response(octets + b"\0")


@pytest.mark.parametrize("octets", ["C402C1000000000100 00", "C702C1000000000100", "C401C10100"])
def test_a_block_of_nothing_or_an_error_that_is_none_is_no_answer(octets):
    with pytest.raises(ClientError, match="the meter's answer"):
        apdu.response(HEX(octets))


@given(SHORT.filter(bool), st.integers(1, 250), st.integers(1, 0xFFFFFFFF), st.integers(1, 15))
def test_dlms_cosem_reads_the_same_in_them(octets, result, block, invoke):
    mark = bytes((0xC0 | invoke,))
    number = block.to_bytes(4, "big")
    raw = axdr.length(len(octets)) + octets
    theirs = XDlmsApduFactory.apdu_from_bytes(b"\xc4\x01" + mark + b"\0" + octets)
    ours = apdu.response(b"\xc4\x01" + mark + b"\0" + octets)
    assert (ours.data, ours.invoke & 15) == (theirs.data, theirs.invoke_id_and_priority.invoke_id)
    for last in (0, 1):
        message = b"\xc4\x02" + mark + bytes((last,)) + number + b"\0" + raw
        theirs, ours = XDlmsApduFactory.apdu_from_bytes(message), apdu.response(message)
        assert (ours.data, ours.block) == (theirs.data, theirs.block_number)
        assert ours.last == isinstance(theirs, xdlms.GetResponseLastBlock)
    message = b"\xc7\x01" + mark + b"\0\1\0" + octets
    assert apdu.response(message).data == XDlmsApduFactory.apdu_from_bytes(message).data
    if result in errors.RESULTS:
        message = b"\xc5\x01" + mark + bytes((result,))
        theirs = XDlmsApduFactory.apdu_from_bytes(message)
        assert apdu.response(message).result == theirs.result == result


def test_errors_in_the_place_of_an_answer():
    error = apdu.refusal(HEX("D80106000000FF"))
    assert isinstance(error, ServiceError) and (error.service_error, error.counter) == (6, 255)
    theirs = xdlms.ExceptionResponse.from_bytes(HEX("D80106000000FF"))
    assert theirs.invocation_counter_data == error.counter
    assert apdu.refusal(HEX("D80202")).counter is None
    assert "service error (1/6/3)" in str(apdu.refusal(HEX("0E010603")))


@given(st.binary(max_size=40), st.sampled_from([b"", b"\xd8", b"\x0e", b"\xc4", b"\xc5", b"\xc7"]))
def test_no_octets_stop_the_reader_otherwise(octets, head):
    for read in (apdu.response, apdu.refusal, acse.read_aare, acse.read_initiate):
        try:
            read(head + octets)
        except ClientError as error:
            assert "the meter" in str(error)


# --- opening -------------------------------------------------------------------------------

AARE = HEX("6129A109060760857405080101A203020100A305A103020100BE10040E0800065F1F0400007C1F04000007")
INITIATE = HEX("0800065F1F0400007C1F04000007")


def test_the_opening_of_the_green_book():
    initiate = acse.initiate_request(0x007E1F, 0x04B0)
    assert initiate == HEX("01000000065F1F0400007E1F04B0")
    assert acse.aarq(initiate) == HEX("601DA109060760857405080101BE10040E") + initiate
    read = acse.read_aare(AARE)
    assert read == acse.Aare(0, b"", b"", INITIATE)
    assert acse.read_initiate(read.information) == (0x007C1F, 0x0400)
    assert acse.rlrq() == HEX("6203800100")


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=32))
def test_an_opening_with_keys_is_what_dlms_cosem_reads(title, challenge):
    information = cipher().seal_initiate(acse.initiate_request(0x007E1F, 0x04B0))
    read = u9n_acse.ApplicationAssociationRequest.from_bytes(
        acse.keyed_aarq(title, challenge, information)
    )
    assert read.ciphered and read.authentication.name == "HLS_GMAC"
    assert (read.system_title, read.authentication_value) == (title, challenge)
    assert read.user_information.content.to_bytes() == information
    release = u9n_acse.ReleaseRequest.from_bytes(acse.rlrq(information))
    assert release.user_information.content.to_bytes() == information


def test_a_keyed_aare_and_one_with_long_lengths():
    challenge = bytes(range(16))
    parts = [
        HEX("A109060760857405080103"), HEX("A203020100"), HEX("A305A10302010E"),
        HEX("A40A0408") + METER, HEX("88020780"), HEX("890760857405080205"),
        HEX("AA128010") + challenge, HEX("BE10040E") + INITIATE,
    ]  # fmt: skip
    body = b"".join(parts)
    want = acse.Aare(acse.GMAC, METER, challenge, INITIATE)
    for head in (b"\x61" + bytes((len(body),)), b"\x61\x81" + bytes((len(body),))):
        assert acse.read_aare(head + body) == want
    long = HEX("BE8111 04810E") + INITIATE
    body = b"".join(parts[:-1]) + long + HEX("BF 02 0102")  # and something unknown
    assert acse.read_aare(b"\x61\x82\x00" + bytes((len(body),)) + body) == want


@pytest.mark.parametrize(
    ("diagnostic", "text"),
    [
        ("A30302010D", None),
        ("A305A10302010D", "refuses the association: authentication failed"),
        ("A305A10302015A", "diagnostic 90 of the service user"),
        ("A305A203020102", "diagnostic 2 of the service provider"),
    ],
)
def test_a_refusal_says_why(diagnostic, text):
    body = HEX("A109060760857405080101") + HEX("A203020101") + HEX(diagnostic)
    octets = b"\x61" + bytes((len(body),)) + body
    with pytest.raises(RefusedError if text else ClientError, match=text):
        acse.read_aare(octets)
