"""Requests that want no answer: as of all others, rights, ciphering and counters hold.

In an I frame or over TCP the service class of the invoke id says so, in a UI frame of HDLC the
frame does (Green Book, 10.2.6.1). Each attack is a function; all run on CPython and on the
MicroPython VM.
"""

from dlms import (
    GET_LONG,
    GET_REGISTER,
    OPERATOR_KEYS,
    READER_KEYS,
    REGISTER_ANSWER,
    Bench,
    Long,
    Public,
    Raw,
)

from ams.events.events import AUTHENTICATION_FAILED, DECRYPTION_FAILED, REPLAY_ATTACK

CONFIRMED = 0x40
SET_LONG = b"\xc1\x01\xc1\x00\x01\x00\x00\x60\x01\x00\xff\x02\x00\x09\x01"
CALL_LONG = b"\xc3\x01\xc1\x00\x01\x00\x00\x60\x01\x00\xff\x01\x01\x09\x01!"
NOT_POSSIBLE = b"\xd8\x01\x01"


def quiet(apdu):
    """The same request, of the class that wants no answer."""
    return apdu[:2] + bytes((apdu[2] & ~CONFIRMED,)) + apdu[3:]


def _fresh():
    Long.written = b""
    Long.calls = []
    return Bench()


class Line:
    """Sends what a UI frame carries, on the service port."""

    def __init__(self, bench):
        self.bench = bench

    def __call__(self, client, apdu):
        data = memoryview(bytearray(apdu))
        self.bench.server.unconfirmed(client.channel, client.sap, 1, data, self.bench.now_ms)


def an_unconfirmed_request_is_done_and_not_answered():
    bench = _fresh()
    client = Raw(bench).associate()
    number = bench.keyring.client(1).keys.next_out
    assert client.ask(quiet(SET_LONG + b"a")) is None and Long.written == b"a"
    assert client.ask(quiet(CALL_LONG)) is None and Long.calls == [b"\x09\x01!"]
    assert client.ask(quiet(GET_REGISTER)) is None
    assert client.ask(quiet(GET_LONG)) is None, "nor does a long answer begin"
    # What is wrong with it is not told either.
    assert client.ask(quiet(SET_LONG)[:-1]) is None
    assert client.ask(quiet(b"\xc1\x09" + SET_LONG[2:] + b"a")) is None
    assert bench.keyring.client(1).keys.next_out == number, "no number of the meter's is used up"
    assert client.ask(GET_REGISTER) == REGISTER_ANSWER
    return bench


def it_takes_rights_and_a_fresh_number():
    bench = _fresh()
    reader = Raw(bench, 2, READER_KEYS, channel=2).associate()
    assert reader.ask(quiet(SET_LONG + b"b")) is None
    assert reader.ask(quiet(CALL_LONG)) is None
    public = Public(bench, 3).associate()
    assert public.ask(quiet(SET_LONG + b"c")) is None
    assert Long.written == b"" and Long.calls == []
    client = Raw(bench).associate()
    sealed = client.seal(0xC9, quiet(SET_LONG + b"d"))
    assert client.send(sealed) is None and Long.written == b"d"
    Long.written = b""
    # A number that was used: whether it wanted an answer nobody can tell.
    assert client.send(sealed)[:3] == b"\xd8\x01\x06" and REPLAY_ATTACK in bench.codes()
    assert client.send(quiet(SET_LONG + b"e")) == NOT_POSSIBLE, "in clear"
    assert AUTHENTICATION_FAILED in bench.codes() and Long.written == b""
    return bench


def a_ui_frame_is_never_answered():
    """Whatever is in it, of whatever class."""
    bench = _fresh()
    line = Line(bench)
    client = Raw(bench, channel=0).associate()
    held = bench.server.request(0, 1, 1, memoryview(bytearray(client.seal(0xC8, GET_LONG))), 1000)
    before = bytes(held)
    number = bench.keyring.client(1).keys.next_out
    line(client, client.seal(0xC9, SET_LONG + b"a"))
    assert Long.written == b"a"
    line(client, client.seal(0xCB, quiet(CALL_LONG)))
    assert Long.calls == [b"\x09\x01!"]
    line(client, client.seal(0xC8, GET_REGISTER))
    assert bench.keyring.client(1).keys.next_out == number
    assert bytes(held) == before, "the answer that is on its way stays as it is"
    assert client.ask(GET_REGISTER) == REGISTER_ANSWER
    return bench


def nor_does_it_open_anything():
    """No opening, no release, no blocks: and what is there stays."""
    bench = _fresh()
    line = Line(bench)
    for sap, keys in ((1, OPERATOR_KEYS), (2, READER_KEYS)):
        client = Raw(bench, sap, keys, channel=0)
        line(client, client.aarq())
    line(Public(bench, 0), Public(bench, 0).aarq(info=Public(bench).initiate(), context=1))
    client = Raw(bench, counter=10, channel=0)
    line(client, client.seal(0xC9, SET_LONG + b"a"))
    assert bench.server.associations[0].state == 0 and Long.written == b""
    # Before the proof.
    client.open()
    line(client, client.seal(0xC9, SET_LONG + b"b"))
    assert Long.written == b""
    assert client.reply()[:4] == b"\xc7\x01\xc1\x00"
    line(client, client.aarq())
    line(client, b"\x62\x03\x80\x01\x00")
    line(client, b"\xe0\xc1\x00\x01\x00\x00\x01\x00")
    assert client.ask(GET_REGISTER) == REGISTER_ANSWER
    return bench


def nor_is_one_without_keys_served():
    bench = _fresh()
    line = Line(bench)
    client = Raw(bench, channel=0).associate()
    # Another client's address, in clear, with other keys, with a number that was used.
    line(Raw(bench, 2, READER_KEYS, channel=0), client.seal(0xC9, SET_LONG + b"a"))
    line(client, SET_LONG + b"b")
    stranger = Raw(bench, 1, (bytes(16), bytes(16)), counter=100, channel=0)
    line(client, stranger.seal(0xC9, SET_LONG + b"c"))
    sealed = client.seal(0xC9, SET_LONG + b"d")
    line(client, sealed)
    assert Long.written == b"d"
    Long.written = b""
    line(client, sealed)
    for junk in (b"", b"\xc9", b"\xdb\xff", bytes(40), b"\xff" * 500):
        line(client, junk)
    assert Long.written == b""
    codes = bench.codes()
    assert AUTHENTICATION_FAILED in codes and DECRYPTION_FAILED in codes
    assert REPLAY_ATTACK in codes
    # Of the public client nothing is served that changes anything.
    bench.server.disconnected(0)
    public = Public(bench, 0).associate()
    line(public, SET_LONG + b"e")
    line(public, CALL_LONG)
    assert Long.written == b"" and Long.calls == []
    return bench


def an_opening_that_allows_no_answer():
    bench = _fresh()
    client = Raw(bench)
    initiate = client.initiate()
    silent = initiate[:2] + b"\x01\x00" + initiate[3:]
    assert client.send(client.aarq(info=client.seal(0x21, silent))) is None
    # Nobody can answer a challenge that he has not heard.
    assert client.ask(GET_REGISTER) == NOT_POSSIBLE
    public = Public(bench, 2)
    aarq = public.aarq(info=silent, context=1, mechanism=None)
    assert public.send(aarq) is None
    assert public.ask(GET_REGISTER) == REGISTER_ANSWER
    loud = initiate[:2] + b"\x01\x01" + initiate[3:]
    assert public.send(public.aarq(info=loud, context=1, mechanism=None))[0] == 0x61
    return bench


ATTACKS = (
    an_unconfirmed_request_is_done_and_not_answered,
    it_takes_rights_and_a_fresh_number,
    a_ui_frame_is_never_answered,
    nor_does_it_open_anything,
    nor_is_one_without_keys_served,
    an_opening_that_allows_no_answer,
)
