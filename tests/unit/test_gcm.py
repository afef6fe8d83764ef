"""AES-128-GCM against published vectors and against `cryptography`, on both VMs."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as RealCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.crypto.gcm import Gcm, equal
from ams.han.cipher import Cipher
from openams.han.cipher import Keys
from openams.han.errors import HanError
from openams.han.reader import decode_frame

EK = bytes(range(16))
AK = bytes(range(0xD0, 0xE0))
# DLMS Green Book, get-request ciphered in suite 0; recomputed with an independent library.
IV = bytes.fromhex("4D4D4D0000BC614E01234567")
PLAIN = bytes.fromhex("C0010000080000010000FF0200")
CIPHERED = bytes.fromhex("411312FF935A47566827C467BC")
TAG = bytes.fromhex("7D825C3BE4A77C3FCC056B6B")
TAG_ALONE = bytes.fromhex("06725D910F9221D263877516")


def test_green_book_vectors():
    gcm = Gcm(EK)
    assert gcm.encrypt(IV, b"\x30" + AK, PLAIN) == (CIPHERED, TAG)
    assert gcm.encrypt(IV, b"\x10" + AK + PLAIN, b"") == (b"", TAG_ALONE)
    assert gcm.decrypt(IV, b"\x30" + AK, CIPHERED, TAG) == PLAIN


VM = """
import binascii
from ams.crypto.gcm import Gcm
h = binascii.unhexlify
gcm = Gcm(bytes(range(16)))
c, t = gcm.encrypt(h("4D4D4D0000BC614E01234567"), b"\\x30" + bytes(range(0xD0, 0xE0)),
                   h("C0010000080000010000FF0200"))
print(binascii.hexlify(c).decode(), binascii.hexlify(t).decode())
"""


def test_green_book_vectors_on_the_vm(micropython):
    assert micropython(VM).split() == [CIPHERED.hex(), TAG.hex()]


@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=12, max_size=12),
    st.binary(max_size=60),
    st.binary(max_size=300),
)
@settings(max_examples=80, deadline=None)
def test_same_as_an_independent_library(key, iv, aad, plain):
    encryptor = RealCipher(algorithms.AES(key), modes.GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(aad)
    ciphertext = encryptor.update(plain) + encryptor.finalize()
    gcm = Gcm(key)
    assert gcm.encrypt(iv, aad, plain) == (ciphertext, encryptor.tag[:12])
    assert gcm.decrypt(iv, aad, ciphertext, encryptor.tag[:12]) == plain


@pytest.mark.parametrize("bit", range(0, 8 * 12, 5))
def test_a_wrong_tag_gives_nothing(bit):
    tag = bytearray(TAG)
    tag[bit // 8] ^= 1 << bit % 8
    assert Gcm(EK).decrypt(IV, b"\x30" + AK, CIPHERED, bytes(tag)) is None


def test_equal():
    assert equal(b"abc", b"abc") and not equal(b"abc", b"abd") and not equal(b"abc", b"ab")


def ciphered(counter=5):
    from test_han_codec import sample

    cipher = Cipher(b"OAM\x00\x00\x00\x00\x01", [(EK, AK), (AK, EK)], counter)
    return cipher, sample("kamstrup", 3)


def test_an_encrypted_list_is_read_with_its_key_only():
    cipher, frame = ciphered()
    wrapped = bytes(cipher.wrap(frame))
    opened = decode_frame(wrapped, [Keys(EK, AK)])
    assert opened.values == decode_frame(frame).values
    with pytest.raises(HanError, match="give its keys"):
        decode_frame(wrapped)
    with pytest.raises(HanError, match="another key"):
        decode_frame(wrapped, [Keys(AK, AK)])
    cipher.next_key()
    again = bytes(cipher.wrap(frame))
    with pytest.raises(HanError, match="another key"):
        decode_frame(again, [Keys(EK, AK)])
    assert decode_frame(again, [Keys(EK, AK), Keys(AK, EK)]).values == opened.values


def test_no_counter_is_used_twice_and_the_last_is_the_end():
    cipher, frame = ciphered(0xFFFFFFFE)
    seen = {bytes(cipher.wrap(frame))[20:40] for _ in range(2)}
    assert len(seen) == 2
    with pytest.raises(ValueError, match="used up"):
        cipher.wrap(frame)
