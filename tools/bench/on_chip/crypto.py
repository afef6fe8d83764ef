# Octets per second of the cryptography.
import gc
import hashlib
import json
import time

import cryptolib

from ams.crypto.gcm import Gcm


def rate(octets, function, times=1):
    gc.collect()
    start = time.ticks_us()
    for _ in range(times):
        function()
    return octets * times * 1000000 // time.ticks_diff(time.ticks_us(), start)


key = bytes(range(16))
iv = bytes(12)
aad = bytes(17)
tag = bytearray(12)
result = {}
start = time.ticks_us()
gcm = Gcm(key)
result["gcm_key_us"] = time.ticks_diff(time.ticks_us(), start)
for size in (64, 512):
    data = bytearray(size)
    result["gcm_%d_octets_per_s" % size] = rate(size, lambda: gcm.seal(iv, aad, data, tag), 4)
block = bytes(1024)
aes = cryptolib.aes(key, 1)
out = bytearray(1024)
result["aes_ecb_octets_per_s"] = rate(1024, lambda: aes.encrypt(block, out), 4)
result["sha256_octets_per_s"] = rate(1024, lambda: hashlib.sha256(block).digest(), 4)
print(json.dumps(result))
