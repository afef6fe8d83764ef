"""The host client's association against the firmware's server, message by message: what it asks,
what it believes, and what becomes of an answer that somebody has changed."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading

import pytest
from dlms import CLIENT_TITLE, LONG, OPERATOR_KEYS, READER_KEYS, REGISTER, TITLE, Bench, Long
from hypothesis import given, settings
from hypothesis import strategies as st

from openams.client import apdu, association
from openams.client import data as axdr
from openams.client.association import Association
from openams.client.ciphering import Cipher
from openams.client.errors import ClientError, RefusedError, ResultError, ServiceError
from openams.client.links import open_link, parse_url
from openams.han.cipher import Keys

VALUE = b"\x06\x00\x01\xe2\x40"
GET_VALUE = apdu.descriptor(3, REGISTER, 2)
LONG_VALUE = apdu.descriptor(1, LONG, 2)


class Dialogue:
    """An association and a server; `tamper(answer, count)` changes what comes back."""

    def __init__(self, sap=1, keys=OPERATOR_KEYS, meter=TITLE, tamper=None):
        self.bench = Bench()
        self.sap = sap
        self.numbers = itertools.count(1)
        self.asked = []
        self.pushed = lambda: []  # what the meter says before it answers
        self._heard = []
        self.tamper = tamper or (lambda answer, _: answer)
        cipher = None
        if sap != 16:
            cipher = Cipher(CLIENT_TITLE, Keys(*keys), meter, lambda: next(self.numbers))
        self.cipher = cipher
        self.association = Association(cipher)

    def go(self, steps):
        try:
            message = next(steps)
            while True:
                if message:
                    self.asked.append(message)
                    self._heard = [*self.pushed(), self.bench.request(message, self.sap)]
                answer = self.tamper(self._heard.pop(0), len(self.asked))
                message = steps.send(answer)
        except IndexError:
            raise ClientError("no answer") from None
        except StopIteration as done:
            return done.value

    def opened(self):
        self.go(self.association.open())
        return self

    def get(self, what=GET_VALUE):
        return self.go(self.association.get(what, b"", "it"))


def test_it_opens_reads_and_says_good_bye():
    for dialogue in (Dialogue().opened(), Dialogue(2, READER_KEYS).opened(), Dialogue(16).opened()):
        assert dialogue.get() == VALUE
        assert dialogue.association.meter_title == TITLE
        channel = dialogue.bench.server.associations[1]
        assert channel.state == 2
        dialogue.go(dialogue.association.release())
        assert channel.state == 0 and dialogue.bench.events == []
        with pytest.raises(ClientError, match="has ended"):
            dialogue.get()


def test_nothing_is_asked_before_it_is_open_and_no_good_bye_is_said():
    dialogue = Dialogue()
    for steps in (dialogue.association.get(GET_VALUE, b"", "it"), dialogue.association.release()):
        with pytest.raises((ClientError, StopIteration)):
            next(steps)


def test_no_number_serves_twice():
    """Nor does that of the proof, which shows in the clear text of a message of its own."""
    dialogue = Dialogue().opened()
    for _ in range(3):
        dialogue.get()
    dialogue.go(dialogue.association.release())
    sent = [int.from_bytes(octets[12:16], "big") for octets in dialogue.asked[1:-1]]
    # 1 is the opening's, 2 the proof's.
    assert sent == [3, 4, 5, 6] and next(dialogue.numbers) == 8


@pytest.mark.parametrize("size", [1, 127, 128, 900, 950, 1000, 1900])
@pytest.mark.parametrize("pdu_max", [100, 0xFFFF])
def test_long_values_go_in_blocks_both_ways(size, pdu_max, monkeypatch):
    monkeypatch.setattr(association, "_PDU_MAX", pdu_max)
    dialogue = Dialogue().opened()
    assert len(axdr.decode(dialogue.get(LONG_VALUE))) == Long.rows
    value = bytes(k & 0xFF for k in range(size))
    before = len(dialogue.asked)
    dialogue.go(dialogue.association.set(LONG_VALUE, axdr.octets(value), "it"))
    assert Long.written == value and (len(dialogue.asked) - before > 1) == (size > 950)
    assert max(map(len, dialogue.asked)) <= 1000
    method = apdu.descriptor(1, LONG, 2)
    answer = dialogue.go(dialogue.association.action(method, axdr.octets(value), "it"))
    assert axdr.decode(answer) == bytes(range(200))
    assert Long.calls[-1] == axdr.octets(value)
    assert dialogue.get() == VALUE


def test_a_refusal_in_the_middle_of_a_long_value_ends_that_alone():
    dialogue = Dialogue(2, READER_KEYS).opened()
    with pytest.raises(ResultError, match="it: read or write denied"):
        dialogue.go(dialogue.association.set(LONG_VALUE, axdr.octets(bytes(1500)), "it"))
    with pytest.raises((ResultError, ServiceError)):
        dialogue.go(dialogue.association.set(LONG_VALUE, axdr.octets(bytes(5000)), "it"))
    assert dialogue.get() == VALUE


def test_what_is_too_long_for_a_meter_without_blocks_is_one_line():
    dialogue = Dialogue().opened()
    dialogue.association._conformance &= ~(1 << 11)
    with pytest.raises(ClientError, match="more than the meter takes"):
        dialogue.go(dialogue.association.set(LONG_VALUE, axdr.octets(bytes(1500)), "it"))
    assert dialogue.get() == VALUE


SHORT_ONE, LONG_ONE, NONE_SUCH = (3, REGISTER, 2), (1, LONG, 2), (3, "1.0.99.8.0.255", 2)


@pytest.mark.parametrize("pdu_max", [100, 0xFFFF])
@pytest.mark.parametrize("lists", [True, False])
def test_several_values_are_asked_for_at_once_where_the_meter_can(pdu_max, lists, monkeypatch):
    monkeypatch.setattr(association, "_PDU_MAX", pdu_max)
    dialogue = Dialogue(2, READER_KEYS).opened()
    if not lists:
        dialogue.association._conformance &= ~(1 << 9)
    go = lambda *what: dialogue.go(dialogue.association.get_all(what))  # noqa: E731
    before = len(dialogue.asked)
    assert go(*[SHORT_ONE] * 40) == [123456] * 40
    asked = len(dialogue.asked) - before
    assert asked == 40 if not lists else asked >= 2, "32 at a time, and in blocks where they must"
    assert lists is False or pdu_max == 100 or asked == 2
    short, long_ = go(SHORT_ONE, LONG_ONE)
    assert short == 123456 and len(long_) == Long.rows
    assert go() == [] and go(SHORT_ONE) == [123456]
    with pytest.raises(ResultError, match=r"1\.0\.99\.8\.0\.255 attribute 2"):
        go(SHORT_ONE, NONE_SUCH, LONG_ONE)
    assert dialogue.get() == VALUE


@pytest.mark.parametrize(
    "answer",
    [
        b"\xc4\x03%c\x01\x00\x06\x00\x00\x00\x01",  # one of two
        b"\xc4\x03%c\x02\x00\x06\x00\x00\x00\x01\x00",  # ends inside a value
        b"\xc4\x03%c\x02\x00\x06\x00\x00\x00\x01\x00\x11\x01\x00",  # an octet too many
        b"\xc4\x03%c\x02\x01\x00\x00\x11\x01",  # an error that is none
        b"\xc4\x01%c\x00\x06\x00\x00\x00\x01",  # the answer to one
        b"\xc4\x03%c",
    ],
)
def test_an_answer_that_is_no_list_of_what_was_asked_is_not_believed(answer):
    """In clear, as a public client: whoever changes it needs no keys."""
    dialogue = Dialogue(16, tamper=lambda real, n: answer % real[2] if real[0] == 0xC4 else real)
    dialogue.opened()
    with pytest.raises(ClientError):
        dialogue.go(dialogue.association.get_all([SHORT_ONE, SHORT_ONE]))


def test_messages_of_the_meters_own_are_passed_over():
    dialogue = Dialogue().opened()
    server = dialogue.bench.server

    def pushed():
        for _ in range(3):
            server.notify(1, 1, lambda out: out.uint32(7))
            # Ours says nothing between the blocks of an answer; another's may.
            yield bytes(server._outbox.take(1, server.associations[1]))

    dialogue.pushed = pushed
    assert dialogue.get() == VALUE
    assert axdr.decode(dialogue.get(LONG_VALUE))


def test_but_not_without_end():
    dialogue = Dialogue(16).opened()
    dialogue.pushed = lambda: [b"\x0f\0\0\0\1\0\6\0\0\0\7"] * 100
    with pytest.raises(ClientError, match="known"):
        dialogue.get()


def test_an_answer_to_an_earlier_request_is_none():
    """Kept back by whoever is on the way, with an error given in its place."""
    kept = []

    def tamper(answer, count):
        if count == 3:
            kept.append(answer)
            return b"\xd8\x01\x03"
        return kept.pop() if count == 4 else answer

    dialogue = Dialogue(tamper=tamper).opened()
    with pytest.raises(ServiceError):
        dialogue.get()
    with pytest.raises(ClientError, match="something else"):
        dialogue.get(apdu.descriptor(3, REGISTER, 3))
    with pytest.raises(ClientError, match="has ended"):
        dialogue.get()


def told(association, *answers):
    """What a long value of the public client comes to when these are the answers."""
    association._ready = True
    steps = association.get(LONG_VALUE, b"", "it")
    next(steps)
    for answer in answers[:-1]:
        steps.send(bytes.fromhex(answer))
    with pytest.raises((ClientError, StopIteration)) as end:
        steps.send(bytes.fromhex(answers[-1]))
    return end.value.value if end.type is StopIteration else str(end.value)


FIRST = "c402c1 00 00000001 00 01 aa"


def test_blocks_come_in_their_order():
    whole = told(Association(), FIRST, "c402c1 01 00000002 00 01 bb")
    assert whole == b"\xaa\xbb"
    for answers, text in (
        (("c402c1 00 00000002 00 01 aa",), "block 2 for 1"),
        ((FIRST, FIRST), "block 1 for 2"),
        ((FIRST, "c402c1 00 00000002 00 00"), "nothing in it"),
        ((FIRST, "c401c1 00 0600000001"), "out of order"),
        ((FIRST, "c402c2 01 00000002 00 01 bb"), "something else"),
        ((FIRST, "c702c1 01 00000002 01 bb"), "something else"),
    ):
        association = Association()
        assert text in told(association, *answers)
        with pytest.raises(ClientError, match="has ended"):
            next(association.get(LONG_VALUE, b"", "it"))
    for answers in ((FIRST, "c402c1 01 00000002 01 13"), (FIRST, "c401c1 01 0f")):
        association = Association()
        assert told(association, *answers).startswith("it: ")
        next(association.get(LONG_VALUE, b"", "it"))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("c502c1 00000002", "does not take block 1"),
        ("c501c1 00", "does not take block 1"),  # all is well, before all was sent
        ("c503c1 00 00000001", "does not take block 1"),
        ("c704c1 00000001", "something else"),
        ("c503c1 0c 00000001", "type unmatched"),
        ("c501c1 03", "denied"),
    ],
)
def test_a_long_value_is_not_set_before_all_of_it_is_there(answer, text):
    association = Association()
    association._ready, association._pdu_max = True, 100
    steps = association.set(LONG_VALUE, bytes(300), "it")
    next(steps)
    with pytest.raises(ClientError, match=text):
        steps.send(bytes.fromhex(answer))


@pytest.mark.parametrize(
    "returned", [b"\x09\x00", b"\x09\x11" + bytes(17), b"\x09\x11", b"\x00", b""]
)
def test_a_meter_that_proves_nothing_is_left_at_once(returned):
    """It has the keys to cipher with, or somebody plays its own words back."""
    dialogue = Dialogue()
    far_end = Cipher(TITLE, Keys(*OPERATOR_KEYS), CLIENT_TITLE, lambda: 1 << 20)
    answer = b"\xc7\x01\xc1\x00" + (b"\x01\x00" + returned if returned else b"\x00")
    dialogue.tamper = lambda real, count: far_end.seal(answer) if count == 2 else real
    with pytest.raises(ClientError):
        dialogue.opened()
    dialogue.go(dialogue.association.release())
    with pytest.raises(ClientError, match="has ended"):
        dialogue.get()
    assert len(dialogue.asked) == 2


# --- whom it believes ------------------------------------------------------------------------


def test_a_meter_with_other_keys_is_none():
    with pytest.raises((RefusedError, ServiceError)):
        Dialogue(keys=READER_KEYS).opened()


def test_a_meter_of_another_title_is_none():
    with pytest.raises(ClientError, match="the meter"):
        Dialogue(meter=b"OAM\0\0\0\0\2").opened()


def replaced(answer, old, new):
    assert old in answer
    return answer.replace(old, new)


def tampered_aare(change):
    return lambda answer, count: change(answer) if count == 1 else answer


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a: replaced(a, b"\xa4\x0a\x04\x08O", b"\xa4\x0a\x04\x08P"), "title"),
        (lambda a: replaced(a, b"\x05\x08\x02\x05", b"\x05\x08\x02\x00"), "no proof"),
        (lambda a: replaced(a, b"\xaa\x12\x80\x10", b"\xab\x12\x80\x10"), "no proof"),
        (lambda a: b"\x61\x00", "not whole"),
        (lambda a: b"", "empty"),
    ],
)  # fmt: skip
def test_an_opening_without_title_proof_or_all_of_it_is_none(change, text):
    with pytest.raises(ClientError, match=text):
        Dialogue(tamper=tampered_aare(change)).opened()


def test_a_challenge_that_somebody_has_changed_proves_nothing():
    def change(answer):
        at = answer.index(b"\xaa\x12\x80\x10") + 4
        return answer[:at] + bytes(16) + answer[at + 16 :]

    dialogue = Dialogue(tamper=tampered_aare(change))
    with pytest.raises(RefusedError, match="proof of the keys"):
        dialogue.opened()
    with pytest.raises(ClientError, match="has ended"):
        dialogue.get()


# --- fuzz ------------------------------------------------------------------------------------

CHANGES = st.lists(
    st.tuples(st.sampled_from("xidt"), st.integers(0, 2000), st.integers(1, 255)),
    min_size=1,
    max_size=4,
)


def mutated(octets, changes):
    out = bytearray(octets)
    for what, place, value in changes:
        place %= len(out) + 1
        if what == "i":
            out.insert(place, value)
        elif what == "t":
            del out[place:]
        elif place < len(out):
            if what == "x":
                out[place] ^= value
            else:
                del out[place]
    return bytes(out)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 6), CHANGES, st.sampled_from([1, 16]))
def test_a_mutated_answer_is_one_clear_error(count, changes, sap):
    """Or none at all: with keys what is told is then true, whatever was changed."""

    def tamper(answer, number):
        return mutated(answer, changes) if number == count else answer

    dialogue = Dialogue(sap, tamper=tamper)
    written = axdr.octets(b"x")

    def run():
        dialogue.opened()
        told = [dialogue.get()]
        dialogue.go(dialogue.association.set(LONG_VALUE, written, "it"))
        told.append(dialogue.go(dialogue.association.action(LONG_VALUE, written, "it")))
        return told

    try:
        told = run()
        assert sap == 16 or told == [VALUE, axdr.octets(bytes(range(200)))]
    except ClientError as error:
        assert str(error) and "\n" not in str(error)
    # And what it says next is true too.
    with contextlib.suppress(ClientError):
        assert dialogue.get() == VALUE or sap == 16
    dialogue.go(dialogue.association.release())


# --- over TCP --------------------------------------------------------------------------------


def test_a_push_on_the_same_connection_is_passed_over():
    """The wrapper carries what is said unasked beside the answers."""
    pushed, answer = b"\x0f\0\0\0\1\0\6\0\0\0\7", b"\xc4\x01\xc1\x00" + VALUE

    with socket.create_server(("127.0.0.1", 0)) as server:

        def meter():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                for message in (pushed, pushed, answer):
                    connection.sendall(struct.pack(">4H", 1, 1, 16, len(message)) + message)
                connection.recv(1)

        thread = threading.Thread(target=meter, daemon=True)
        thread.start()
        link = open_link(parse_url(f"tcp://127.0.0.1:{server.getsockname()[1]}"), 16, 5)
        plain = Association()
        plain._ready = True
        steps = plain.get(GET_VALUE, b"", "it")
        message = link.send_request(next(steps))
        with pytest.raises(StopIteration) as done:
            while True:
                assert steps.send(message) == b""
                message = link.receive()
        assert done.value.value == VALUE
        link.disconnect()
        thread.join(5)
