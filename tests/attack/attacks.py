"""What an attacker does to the server, and what it answers and logs (docs/security.md).

Each attack is a function; all run on CPython and on the MicroPython VM. After
each of them `unharmed` shows that the operator still gets in and nobody else did.
"""

import struct

from dlms import (
    GET_LONG,
    GET_REGISTER,
    KEK,
    OPERATOR_KEYS,
    READER_KEYS,
    REGISTER_ANSWER,
    TITLE,
    Bench,
    Long,
    Public,
    Raw,
)

from ams.crypto.keywrap import wrap
from ams.events.events import (
    AUTHENTICATION_FAILED,
    DECRYPTION_FAILED,
    KEYS_CHANGED,
    REPLAY_ATTACK,
)

NOT_POSSIBLE = b"\xd8\x01\x01"
OTHER = b"\xd8\x01\x03"
DECIPHERING = b"\xd8\x01\x05"
COUNTER = b"\xd8\x01\x06"
SET_LONG = b"\xc1\x01\xc1\x00\x01\x00\x00\x60\x01\x00\xff\x02\x00\x09\x01!"
SETUP = b"\x00\x40\x00\x00\x2b\x00\x01\xff"
GUESSES = 10000


def refused(aare, diagnostic, transient=False):
    """The AARE rejects, for this reason."""
    result = 2 if transient else 1
    head = b"\xa2\x03\x02\x01" + bytes((result,))
    return aare[0] == 0x61 and head + b"\xa3\x05\xa1\x03\x02\x01" + bytes((diagnostic,)) in aare


def unharmed(bench, counter=0x10000):
    """The operator's keys open, on the channel that was attacked and on another."""
    for channel in (1, 3):
        client = Raw(bench, counter=counter, channel=channel).associate()
        assert client.ask(GET_REGISTER) == REGISTER_ANSWER
        counter = client.counter
    assert not bench.complaints, bench.complaints


# --- counters ------------------------------------------------------------------------


def replayed_request():
    """The same octets again, in the same association."""
    bench = Bench()
    client = Raw(bench).associate()
    Long.written = b""
    request = client.seal(0xC9, SET_LONG)
    client.send(request)
    assert Long.written == b"!"
    Long.written = b""
    assert client.send(request) == COUNTER + struct.pack(">I", client.counter)
    assert Long.written == b"" and bench.codes() == [REPLAY_ATTACK]
    return bench


def old_counter():
    bench = Bench()
    client = Raw(bench, counter=500).associate()
    answer = client.send(client.seal(0xC8, GET_REGISTER, counter=400))
    assert answer == COUNTER + struct.pack(">I", client.counter)
    assert bench.codes() == [REPLAY_ATTACK]
    # The association goes on: whoever only lost count need not begin anew.
    assert client.ask(GET_REGISTER) == REGISTER_ANSWER
    return bench


def replayed_opening():
    """A whole recorded session, later: the opening is already old."""
    bench = Bench()
    client = Raw(bench)
    opening = client.aarq()
    client.send(opening)
    bench.server.disconnected(1)
    assert client.send(opening) == COUNTER + struct.pack(">I", client.counter)
    assert client.ask(GET_REGISTER) == NOT_POSSIBLE
    assert bench.codes() == [REPLAY_ATTACK]
    return bench


def replayed_opening_after_reset():
    """The same, behind a power cut: the counter was kept before the answer went out."""
    before = Bench()
    opening = Raw(before, counter=77).aarq()
    before.request(opening, 1)
    bench = Bench(cells=before.cells)
    assert bench.request(opening, 1) == COUNTER + struct.pack(">I", 78)
    assert bench.codes() == [REPLAY_ATTACK]
    return bench


def last_counter():
    """FFFFFFFF would be the last of all: it is no number."""
    bench = Bench()
    client = Raw(bench).associate()
    answer = client.send(client.seal(0xC8, GET_REGISTER, counter=0xFFFFFFFF))
    assert answer == COUNTER + struct.pack(">I", client.counter)
    return bench


# --- titles, keys, tags ------------------------------------------------------------------


def wrong_system_title():
    """Named in the opening but not in its ciphering, in a message, or the meter's own."""
    bench = Bench()
    liar = Raw(bench)
    info = liar.seal(0x21, liar.initiate(), title=b"XYZ\x00\x00\x00\x00\x01")
    assert refused(liar.send(liar.aarq(info=info)), 13)
    client = Raw(bench, counter=100).associate()
    other = client.seal(0xDB, GET_REGISTER, title=b"XYZ\x00\x00\x00\x00\x01")
    assert client.send(other) == DECIPHERING
    mirror = Raw(bench, counter=200, title=TITLE)
    assert refused(mirror.send(mirror.aarq()), 3)
    assert bench.codes() == [
        DECRYPTION_FAILED,
        AUTHENTICATION_FAILED,
        DECRYPTION_FAILED,
        AUTHENTICATION_FAILED,
    ]
    return bench


def bound_title():
    """A meter that was told so takes a client under its one title only."""
    config = {
        "system_title": "4F414D0000000001",
        "clients": [
            {
                "sap": 1,
                "encryption": "000102030405060708090A0B0C0D0E0F",
                "authentication": "D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF",
                "title": "4142430000000007",
                "bind_title": True,
            }
        ],
    }
    bench = Bench(config)
    stranger = Raw(bench, title=b"XYZ\x00\x00\x00\x00\x01")
    assert refused(stranger.send(stranger.aarq()), 3)
    return bench


def keys_of_another_meter():
    bench = Bench()
    stranger = Raw(bench, keys=(bytes(range(1, 17)), bytes(range(2, 18))))
    assert refused(stranger.send(stranger.aarq()), 13)
    assert stranger.send(stranger.seal(0xC8, GET_REGISTER)) == NOT_POSSIBLE
    # Keys of another client of this meter are no better.
    reader = Raw(bench, keys=READER_KEYS)
    assert refused(reader.send(reader.aarq()), 13)
    assert bench.codes() == [DECRYPTION_FAILED, AUTHENTICATION_FAILED] * 2
    return bench


def wrong_and_short_tags():
    bench = Bench()
    client = Raw(bench).associate()
    good = client.seal(0xC8, GET_REGISTER)
    for bit in range(8 * 12):
        wrong = bytearray(good)
        wrong[len(good) - 1 - bit // 8] ^= 1 << bit % 8
        assert client.send(bytes(wrong)) == DECIPHERING
    for cut in range(1, 13):
        # The length is made right again: only the tag is short.
        short = good[:1] + bytes((good[1] - cut,)) + good[2 : len(good) - cut]
        assert client.send(short) in (DECIPHERING, NOT_POSSIBLE)
    assert set(bench.codes()) == {DECRYPTION_FAILED}
    # None of it used the number up.
    assert client.unseal(client.send(good)) == REGISTER_ANSWER
    return bench


# --- around the ciphering ----------------------------------------------------------------


def ciphered_on_public():
    bench = Bench()
    public = Public(bench).associate()
    assert public.send(public.seal(0xC8, GET_REGISTER)) == NOT_POSSIBLE
    assert public.send(public.seal(0xDB, GET_LONG)) == NOT_POSSIBLE
    assert refused(public.send(public.aarq(context=3)), 2)
    assert bench.codes() == [AUTHENTICATION_FAILED] * 2
    return bench


def unciphered_on_operator():
    bench = Bench()
    client = Raw(bench).associate()
    assert client.send(GET_REGISTER) == NOT_POSSIBLE
    assert client.send(SET_LONG) == NOT_POSSIBLE
    plain = Raw(bench, counter=100)
    for context, mechanism, diagnostic in ((1, 5, 2), (1, None, 2), (3, None, 12), (3, 1, 11)):
        aarq = plain.aarq(info=plain.initiate(), context=context, mechanism=mechanism)
        assert refused(plain.send(aarq), diagnostic)
    # The right context and mechanism, with an InitiateRequest in clear.
    assert refused(plain.send(plain.aarq(info=plain.initiate())), 13)
    return bench


def weaker_ciphering():
    """Only authenticated, only encrypted, neither; another suite; the broadcast key; compressed."""
    bench = Bench()
    client = Raw(bench).associate()
    for control in (0x10, 0x20):
        assert client.send(client.seal(0xC8, GET_REGISTER, control=control)) == NOT_POSSIBLE
    good = client.seal(0xC8, GET_REGISTER)
    for control in (0x00, 0x31, 0x32, 0x70, 0xB0):
        assert client.send(good[:2] + bytes((control,)) + good[3:]) == NOT_POSSIBLE
    for control in (0x00, 0x10, 0x20):
        info = client.seal(0x21, client.initiate(), control=control)
        assert refused(client.send(client.aarq(info=info)), 13)
    return bench


def weaker_policy():
    bench = Bench()
    client = Raw(bench).associate()
    for policy in (0, 0x04, 0x2C, 0x7F, 0xFF):
        request = b"\xc3\x01\xc1" + SETUP + b"\x01\x01\x16" + bytes((policy,))
        assert client.ask(request) == b"\xc7\x01\xc1\x03\x00"
    same = b"\xc3\x01\xc1" + SETUP + b"\x01\x01\x16\x6c"
    assert client.ask(same) == b"\xc7\x01\xc1\x00\x00"
    assert set(bench.codes()) == {AUTHENTICATION_FAILED}
    return bench


def other_service_inside():
    """A get on the outside, a set inside."""
    bench = Bench()
    client = Raw(bench).associate()
    Long.written = b""
    assert client.send(client.seal(0xC8, SET_LONG)) == NOT_POSSIBLE
    assert Long.written == b""
    return bench


# --- the challenge -----------------------------------------------------------------------


def before_the_proof():
    """Opened but not proven: nothing but the proof is served."""
    bench = Bench()
    client = Raw(bench).open()
    assert client.ask(GET_REGISTER) == NOT_POSSIBLE
    assert client.ask(SET_LONG) == NOT_POSSIBLE
    assert client.ask(b"\xc3\x01\xc1" + SETUP + b"\x02\x01\x01\x00") == NOT_POSSIBLE
    assert client.reply()[3] == 0
    return bench


def wrong_proof():
    """One wrong answer ends the association: a challenge serves once."""
    bench = Bench()
    for wrong in (
        lambda c: c.proof(c.counter, c.challenge),  # our own challenge sent back
        lambda c: c.proof(c.counter - 2),  # a counter below the opening's
        lambda c: c.proof(c.counter + 1),  # and one beyond the message's
        lambda c: c.proof(c.counter)[:16] + b"\x00",
        lambda c: b"",
        lambda c: bytes(17),
    ):
        client = Raw(bench, counter=bench.keyring.client(1).keys.next_in).open()
        assert client.reply(wrong(client))[3] == 3
        assert client.reply(client.proof(client.counter)) == NOT_POSSIBLE
    assert set(bench.codes()) == {AUTHENTICATION_FAILED}
    return bench


def proof_of_a_former_challenge():
    bench = Bench()
    client = Raw(bench).open()
    first = client.server_challenge
    client.open()
    assert client.server_challenge != first
    assert client.reply(client.proof(client.counter, first))[3] == 3
    return bench


# --- keys --------------------------------------------------------------------------------


def transfer(*keys):
    data = b"\x01" + bytes((len(keys),))
    for which, wrapped in keys:
        data += b"\x02\x02\x16" + bytes((which,)) + b"\x09\x18" + wrapped
    return b"\xc3\x01\xc1" + SETUP + b"\x02\x01" + data


def wrong_kek():
    """One key of two is wrapped under another key: neither counts."""
    bench = Bench()
    client = Raw(bench).associate()
    good = wrap(KEK, bytes(range(0x80, 0x90)))
    bad = wrap(bytes(16), bytes(range(0x90, 0xA0)))
    assert client.ask(transfer((0, good), (2, bad))) == b"\xc7\x01\xc1\xfa\x00"
    assert client.ask(transfer((0, good[:23] + b"\x00"))) == b"\xc7\x01\xc1\xfa\x00"
    assert client.ask(transfer((1, good))) == b"\xc7\x01\xc1\x03\x00"  # there is no broadcast
    assert client.ask(transfer((0, good), (0, good))) == b"\xc7\x01\xc1\x0c\x00"
    assert client.ask(transfer()) == b"\xc7\x01\xc1\x0c\x00"
    assert set(bench.codes()) == {AUTHENTICATION_FAILED}
    assert client.ask(GET_REGISTER) == REGISTER_ANSWER
    return bench


def keys_of_others():
    """The reader may change neither the operator's keys nor the master key."""
    bench = Bench()
    reader = Raw(bench, sap=2, keys=READER_KEYS).associate()
    good = wrap(KEK, bytes(range(0x80, 0x90)))
    assert reader.ask(transfer((0, good)))[3] == 3
    own = transfer((3, good)).replace(SETUP, SETUP[:6] + b"\x02\xff")
    assert reader.ask(own)[3] == 3
    assert KEYS_CHANGED not in bench.codes()
    return bench


def keys_are_not_readable():
    bench = Bench()
    client = Raw(bench).associate()
    for attribute in range(256):
        for thing in (
            SETUP,
            b"\x00\x0f\x00\x00\x28\x00\x01\xff",
            b"\x00\x0f\x00\x00\x28\x00\x00\xff",
        ):
            answer = client.ask(b"\xc0\x01\xc1" + thing + bytes((attribute, 0)))
            for secret in OPERATOR_KEYS + READER_KEYS + (KEK,):
                assert secret not in answer
    return bench


def used_keys():
    """After a change the former keys open nothing."""
    bench = Bench()
    client = Raw(bench, counter=500).associate()
    new = (bytes(range(0x80, 0x90)), bytes(range(0x90, 0xA0)))
    answer = client.ask(transfer((0, wrap(KEK, new[0])), (2, wrap(KEK, new[1]))))
    assert answer == b"\xc7\x01\xc1\x00\x00"
    assert client.ask(GET_REGISTER) == DECIPHERING
    late = Raw(bench, counter=1000)
    assert refused(late.send(late.aarq()), 13)
    # Their counter begins anew.
    assert Raw(bench, keys=new, counter=0).associate().ask(GET_REGISTER) == REGISTER_ANSWER
    again = Bench(cells=bench.cells)
    assert refused(again.request(late.aarq(), 1), 13)
    Raw(again, keys=new, counter=100).associate()
    client = Raw(again, keys=new, counter=200).associate()
    back = transfer((0, wrap(KEK, OPERATOR_KEYS[0])), (2, wrap(KEK, OPERATOR_KEYS[1])))
    assert client.ask(back)[3] == 0
    return again


# --- numbers of the meter's own --------------------------------------------------------------


def number_of(apdu):
    """The invocation counter of a ciphered answer."""
    at = 10 if apdu[0] in (0xDB, 0xDC) else 1
    at += 1 if apdu[at] < 0x80 else 1 + (apdu[at] & 0x7F)
    return struct.unpack(">I", apdu[at + 1 : at + 5])[0]


def numbers(client, requests, tag=0xC8):
    """Those of the answers to so many reads."""
    return [number_of(client.send(client.seal(tag, GET_REGISTER))) for _ in range(requests)]


def key_transfer_that_keeps_the_encryption_key():
    """Another authentication key alone: the same AES key goes on, and so must its numbers."""
    bench = Bench()
    client = Raw(bench).associate()
    used = numbers(client, 3)
    # Also where the reserve has just run out.
    keys = bench.keyring.client(1).keys
    for left in (5, 0):
        keys = bench.keyring.client(1).keys
        keys.next_out = keys.reserved - left
        fresh = bytes(range(0x90 + left, 0xA0 + left))
        request = client.seal(0xCB, transfer((2, wrap(KEK, fresh))))
        answer = client.send(request)
        used.append(number_of(answer))
        assert client.unseal(answer) == b"\xc7\x01\xc1\x00\x00"
        client.keys = (client.keys[0], fresh)
        used += numbers(client, 3)
    again = Bench(cells=bench.cells)
    late = Raw(again, keys=client.keys, counter=client.counter).associate()
    used += numbers(late, 3)
    assert len(set(used)) == len(used), used
    # What came in before does not come in again either.
    assert late.send(late.seal(0xC8, GET_REGISTER, counter=1))[:3] == COUNTER
    return None


def key_transfer_of_a_key_in_force():
    """Its own key once more, another client's, the HAN port's: one key, two that count for it."""
    bench = Bench()
    client = Raw(bench).associate()
    for key in (OPERATOR_KEYS[0], READER_KEYS[0]):
        request = transfer((0, wrap(KEK, key)), (2, wrap(KEK, bytes(range(0x90, 0xA0)))))
        assert client.ask(request) == b"\xc7\x01\xc1\x0c\x00"
    # Whoever knows what it opens would know the master key; nor are two of one transfer the same.
    for key in (READER_KEYS[0], READER_KEYS[1], OPERATOR_KEYS[0], KEK):
        assert client.ask(transfer((3, wrap(KEK, key)))) == b"\xc7\x01\xc1\x0c\x00"
    new = wrap(KEK, bytes(range(0x80, 0x90)))
    for pair in ((0, 2), (0, 3)):
        request = transfer((pair[0], new), (pair[1], new))
        assert client.ask(request) == b"\xc7\x01\xc1\x0c\x00"
    assert client.ask(GET_REGISTER) == REGISTER_ANSWER
    assert KEYS_CHANGED not in bench.codes()
    return bench


def former_keys_come_back():
    """A, B and A again: what the meter said under A is never said with the same number."""
    bench = Bench()
    client = Raw(bench).associate()
    used = numbers(client, 3)
    other = (bytes(range(0x80, 0x90)), bytes(range(0x90, 0xA0)))
    client.ask(transfer((0, wrap(KEK, other[0])), (2, wrap(KEK, other[1]))))
    client = Raw(bench, keys=other, counter=0).associate()
    client.ask(transfer((0, wrap(KEK, OPERATOR_KEYS[0])), (2, wrap(KEK, OPERATOR_KEYS[1]))))
    client = Raw(bench, counter=0).associate()
    used += numbers(client, 3)
    assert len(set(used)) == len(used), used
    return bench


def dedicated_keys():
    """One that served before, one that is the client's own: no number serves twice."""
    bench = Bench()
    key = bytes(range(0xB0, 0xC0))
    client = Raw(bench)
    used = []
    for _ in range(2):
        client.associate(info=client.seal(0x21, client.initiate(key)))
        inside = Raw(bench, keys=(key, OPERATOR_KEYS[1]), counter=0)
        used += numbers(inside, 3, 0xD0)
    assert len(set(used)) == len(used), used
    own = client.aarq(info=client.seal(0x21, client.initiate(OPERATOR_KEYS[0])))
    assert refused(client.send(own), 1)
    # An association under one does not outlive a change of the keys that it came under.
    client.associate(info=client.seal(0x21, client.initiate(key)))
    inside = Raw(bench, keys=(key, OPERATOR_KEYS[1]), counter=0)
    other = Raw(bench, counter=0x1000, channel=2).associate()
    new = bytes(range(0x80, 0x90))
    assert other.ask(transfer((0, wrap(KEK, new)))) == b"\xc7\x01\xc1\x00\x00"
    assert inside.send(inside.seal(0xD0, GET_REGISTER)) == NOT_POSSIBLE
    return None


# --- guessing ----------------------------------------------------------------------------


def guesses():
    """10 000 wrong keys: few events, few writes, and the right key gets in meanwhile."""
    bench = Bench()
    bench.cells.sets.clear()
    stranger = Raw(bench, keys=(bytes(range(1, 17)), bytes(range(2, 18))))
    guess = stranger.aarq()
    assert refused(stranger.send(guess), 13)
    for _ in range(GUESSES - 1):
        bench.now_ms += 100
        answer = stranger.send(guess)
    assert refused(answer, 13, transient=True)
    assert len(bench.events) == 2 * 5
    # The next after an hour says how many there were.
    bench.now_ms += 3600000
    stranger.send(guess)
    counted = sum(1 + extra for code, _, extra in bench.events if code == AUTHENTICATION_FAILED)
    assert counted == GUESSES + 1 and len(bench.events) == 2 * 6
    assert len(bench.cells.sets) <= 7
    # On the channel that is under attack, in the middle of the delay.
    Raw(bench, counter=5).associate()
    return bench


def password_guesses():
    """The public client with a password: a closed door stays closed to the right one too."""
    bench = Bench({"system_title": "4F414D0000000001", "public": "3132333435363738", "clients": []})
    public = Public(bench)

    def attempt(password):
        body = public.aarq(info=public.initiate(), context=1, mechanism=1, challenge=password)
        return public.send(body)

    for _ in range(5):
        assert refused(attempt(b"00000000"), 13)
    assert refused(attempt(b"12345678"), 13, transient=True)
    bench.now_ms += 59000
    assert refused(attempt(b"12345678"), 13, transient=True)
    bench.now_ms += 1000
    assert b"\xa2\x03\x02\x01\x00" in attempt(b"12345678")
    # It grows to an hour, and a reset does not shorten it.
    for _ in range(5):
        attempt(b"00000000")
    for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
        bench.now_ms += minutes * 60000 - 1
        assert refused(attempt(b"12345678"), 13, transient=True)
        bench.now_ms += 1
        assert refused(attempt(b"00000000"), 13)
    again = Bench(cells=bench.cells)
    public.bench = again
    assert refused(attempt(b"12345678"), 13, transient=True)
    again.now_ms += 3600000
    assert b"\xa2\x03\x02\x01\x00" in attempt(b"12345678")
    return None


# --- lies about the form --------------------------------------------------------------------


def nested_data():
    """Structures in structures, as deep as an APDU takes them."""
    bench = Bench()
    client = Raw(bench).associate()
    for deep in (b"\x02\x01" * 450, b"\x01\x01" * 450 + b"\x00", b"\x01\x81\xff" * 300):
        assert client.ask(SET_LONG[:13] + deep) == OTHER
        assert client.ask(b"\xc3\x01\xc1" + SETUP + b"\x02\x01" + deep) == OTHER
    return bench


def lying_lengths():
    bench = Bench()
    client = Raw(bench).associate()
    Long.written = b""
    for value in (
        b"\x09\xff" + bytes(10),
        b"\x09\x84\xff\xff\xff\xff" + bytes(10),
        b"\x09\x85\x00\x00\x00\x00\x01!",
        b"\x09\x80!",
        b"\x01\x84\x7f\xff\xff\xff\x00",
        b"\x04\x84\xff\xff\xff\xff\x00",
        b"\x09\x02!",
        b"",
        b"\x09",
        b"\x09\x01!!",  # more than it says
    ):
        assert client.ask(SET_LONG[:13] + value) == OTHER
    assert client.ask(b"\xc0\x03\xc1\x84\x7f\xff\xff\xff" + GET_REGISTER[3:]) == OTHER
    assert client.ask(b"\xc0\x03\xc1\x02" + GET_REGISTER[3:]) == OTHER
    # Lengths of the ciphered APDU that do not fit what came.
    good = client.seal(0xC8, GET_REGISTER)
    for length in (0, 5, good[1] - 1, good[1] + 1, 0x7F):
        assert client.send(good[:1] + bytes((length,)) + good[2:]) == NOT_POSSIBLE
    for lie in (b"\x80", b"\x81", b"\x84\xff\xff\xff\xff", b"\x83\xff\xff\xff"):
        assert client.send(good[:1] + lie + good[2:]) == NOT_POSSIBLE
    assert client.send(b"\xdb") == NOT_POSSIBLE and client.send(b"\xdb\xff") == NOT_POSSIBLE
    assert Long.written == b""
    return bench


def lying_openings():
    """An AARQ cut at every octet, and each of its octets as if it were a length."""
    bench = Bench()
    client = Raw(bench)
    aarq = client.aarq()
    for end in range(1, len(aarq)):
        answer = client.send(aarq[:end])
        assert answer[0] == 0x61 and b"\xa2\x03\x02\x01\x00" not in answer
    for at in range(1, len(aarq)):
        for value in (0x00, 0x7F, 0x80, 0x81, 0x84, 0xFF):
            wrong = aarq[:at] + bytes((value,)) + aarq[at + 1 :]
            if wrong != aarq:
                answer = client.send(wrong)
                bench.server.disconnected(1)
                assert answer is not None
    return bench


def huge_apdu():
    bench = Bench()
    client = Raw(bench).associate()
    assert client.send(client.seal(0xC9, SET_LONG[:13] + b"\x09\x82\x08\x00" + bytes(2048))) == (
        b"\xd8\x01\x04"
    )
    # In blocks it may be longer, but not without end.
    head = b"\xc1\x02\xc1" + SET_LONG[3:12] + b"\x00\x00"
    assert client.ask(head + struct.pack(">IB", 1, 0x7F) + bytes(127))[:2] == b"\xc5\x02"
    number = 1
    while True:
        number += 1
        block = b"\xc1\x03\xc1\x00" + struct.pack(">IBH", number, 0x82, 500) + bytes(500)
        answer = client.ask(block)
        if answer[:2] != b"\xc5\x02":
            break
    assert answer == b"\xc5\x03\xc1\x11" + struct.pack(">I", number) and number < 6
    return bench


def public_writes():
    """The public client has no service that changes anything."""
    bench = Bench()
    public = Public(bench).associate()
    Long.written = b""
    Long.calls = []
    assert public.ask(SET_LONG) == b"\xc5\x01\xc1\x03"
    assert public.ask(b"\xc3\x01\xc1" + SET_LONG[3:11] + b"\x01\x00") == b"\xc7\x01\xc1\x03\x00"
    first = b"\xc1\x02\xc1" + SET_LONG[3:12] + b"\x00\x01\x00\x00\x00\x01\x03\x09\x01!"
    assert public.ask(first) == b"\xc5\x03\xc1\x03\x00\x00\x00\x00"
    assert public.ask(GET_LONG) == b"\xc4\x01\xc1\x01\x03"
    assert Long.written == b"" and Long.calls == []
    return bench


ATTACKS = (
    replayed_request,
    old_counter,
    replayed_opening,
    replayed_opening_after_reset,
    last_counter,
    wrong_system_title,
    bound_title,
    keys_of_another_meter,
    wrong_and_short_tags,
    ciphered_on_public,
    unciphered_on_operator,
    weaker_ciphering,
    weaker_policy,
    other_service_inside,
    before_the_proof,
    wrong_proof,
    proof_of_a_former_challenge,
    wrong_kek,
    keys_of_others,
    keys_are_not_readable,
    used_keys,
    key_transfer_that_keeps_the_encryption_key,
    key_transfer_of_a_key_in_force,
    former_keys_come_back,
    dedicated_keys,
    guesses,
    password_guesses,
    nested_data,
    lying_lengths,
    lying_openings,
    huge_apdu,
    public_writes,
)
