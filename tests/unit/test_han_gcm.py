"""The GHASH kernel: the same on both VMs, and cheap for the heap of a chip."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher as RealCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes

from ams.crypto.gcm import Gcm

EK = bytes(range(16))

ON_VM = """
import binascii, gc
from ams.crypto.gcm import Gcm
gcm = Gcm(bytes(range(16)))
data = bytes(range(256)) + bytes(range(125))
gc.collect()
gc.disable()
free = gc.mem_free()
c, t = gcm.encrypt(bytes(range(12)), bytes(17), data)
used = free - gc.mem_free()
print(used, binascii.hexlify(c).decode(), binascii.hexlify(t).decode())
"""


def test_a_long_list_on_the_vm_is_right_and_hardly_touches_the_heap(micropython):
    """Blocks that are not whole, both in the list and in what is only authenticated."""
    used, ciphertext, tag = micropython(ON_VM).split()
    data = bytes(range(256)) + bytes(range(125))
    encryptor = RealCipher(algorithms.AES(EK), modes.GCM(bytes(range(12)))).encryptor()
    encryptor.authenticate_additional_data(bytes(17))
    assert bytes.fromhex(ciphertext) == encryptor.update(data) + encryptor.finalize()
    assert bytes.fromhex(tag) == encryptor.tag[:12]
    assert int(used) < 4096


def test_the_viper_kernel_does_as_its_twin_does():
    from ams.crypto import gcm

    data = bytes(range(208))
    states = []
    for kernel in (gcm.ghash, gcm.ghash_plain):
        one = Gcm(EK)
        kernel(one._state, one._table, gcm._REDUCE, data, len(data) // 16)
        states.append(list(one._state[:4]))
    assert states[0] == states[1]
