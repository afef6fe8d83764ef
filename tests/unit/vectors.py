"""Published vectors of what the meter ciphers with; test_vectors runs them on both VMs."""

import binascii

from ams.cosem.security import challenge_proof
from ams.crypto.gcm import Gcm
from ams.crypto.keywrap import unwrap, wrap


def octets(text):
    return b"" if text == "-" else binascii.unhexlify(text)


def cavp(path):
    """NIST CAVP, tags of 96 bits; gives how many."""
    count = 0
    with open(path) as lines:
        for line in lines:
            kind, key, iv, aad, plain, cipher, tag, verdict = line.split()
            gcm = Gcm(octets(key))
            iv, aad, tag = octets(iv), octets(aad), octets(tag)
            if kind == "encrypt":
                data, auth = gcm.encrypt(iv, aad, octets(plain))
                assert (bytes(data), auth) == (octets(cipher), tag), line
            back = gcm.decrypt(iv, aad, octets(cipher), tag)
            if verdict == "FAIL":
                assert back is None, line
            else:
                assert bytes(back) == octets(plain), line
            count += 1
    return count


EK = bytes(range(16))
AK = bytes(range(0xD0, 0xE0))
# DLMS Green Book: a get-request under these keys, title 4D4D4D0000BC614E, counter 01234567.
IV = octets("4D4D4D0000BC614E01234567")
GET = octets("C0010000080000010000FF0200")
INITIATE = octets("01011000112233445566778899AABBCCDDEEFF0000065F1F0400007E1F04B0")
GLO_INITIATE = octets(
    "21303001234567801302FF8A7874133D414CED25B42534D28DB0047720606B175BD52211BE6841DB204D39EE6FDB8E356855"
)


class _Keys:
    authentication = AK

    def gcm(self):
        return Gcm(EK)


def green_book():
    gcm = Gcm(EK)
    assert gcm.mac(IV, b"\x10" + AK, GET) == octets("06725D910F9221D263877516")
    ciphered = octets("411312FF935A47566827C467BC")
    data, auth = gcm.encrypt(IV, b"\x30" + AK, GET)
    assert bytes(data) == ciphered and auth == octets("7D825C3BE4A77C3FCC056B6B")
    assert bytes(gcm.encrypt(IV, b"", GET)[0]) == ciphered
    data, auth = gcm.encrypt(IV, b"\x30" + AK, INITIATE)
    assert b"\x21\x30\x30" + IV[8:] + bytes(data) + auth == GLO_INITIATE
    for title, number, challenge, proof in (
        ("4D4D4D0000000001", 1, "503677524A323146", "10000000011A52FE7DD3E72748973C1E28"),
        ("4D4D4D0000BC614E", 0x1234567, "4B35366956616759", "1001234567FE1466AFB3DBCD4F9389E2B7"),
    ):
        assert challenge_proof(_Keys(), octets(title), number, octets(challenge)) == octets(proof)


def key_wrap():
    """RFC 3394, 4.1."""
    key = octets("00112233445566778899AABBCCDDEEFF")
    wrapped = octets("1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5")
    assert wrap(EK, key) == wrapped and unwrap(EK, wrapped) == key
    for bit in range(8 * 24):
        wrong = bytearray(wrapped)
        wrong[bit // 8] ^= 1 << bit % 8
        assert unwrap(EK, bytes(wrong)) is None
    assert unwrap(AK, wrapped) is None
    assert unwrap(EK, wrapped[:16]) is None and unwrap(EK, wrapped + bytes(8)) is None


def aes():
    """What the VM's own AES does: FIPS 197, C.1, and that in place is the same."""
    import cryptolib

    plain = octets("00112233445566778899AABBCCDDEEFF")
    ciphered = octets("69C4E0D86A7B0430D8CDB78070B4C55A")
    assert cryptolib.aes(EK, 1).encrypt(plain) == ciphered
    buffer = memoryview(bytearray(plain + plain))
    cryptolib.aes(EK, 1).encrypt(buffer, buffer)
    assert bytes(buffer) == ciphered + ciphered
    assert cryptolib.aes(EK, 1).decrypt(ciphered) == plain


def all_of(cavp_path):
    green_book()
    key_wrap()
    aes()
    return cavp(cavp_path)
