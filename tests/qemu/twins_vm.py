"""What has a viper form: its results in one sum, the same wherever it runs. CPython takes the plain
twins, a chip what its emitter has made; the hot loop is held against its twin on the chip as well.
"""

import binascii
import hashlib
from array import array

from ams.crypto import octets
from ams.crypto.gcm import Gcm
from ams.display import pixels
from ams.metrology import channel_sums, fixed, kernel, window_end
from ams.modbus import rtu

RAILS = (-8388608, 8388607)


class Draw:
    """Numbers of 24 bits, the same everywhere."""

    def __init__(self, seed):
        self._state = seed

    def __call__(self):
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 7) & 0xFFFFFF

    def octets(self, count):
        return bytearray([self() >> 9 & 0xFF for _ in range(count)])


def loop(draw, out, sums=None):
    """The sums of one pair, by `sums` (the kernel's own without), at the rails too."""
    table = kernel.make_table()
    sums = sums or kernel.pair_sums
    for trial, count in enumerate((0, 1, 31, 32, 33, 71, 100)):
        samples = array("i", bytes(4 * (2 * count + 2)))
        for k in range(len(samples)):
            samples[k] = draw() - 0x800000 if trial % 3 else RAILS[draw() & 1]
        args = kernel.new_arguments()
        for k, v in enumerate((0, 1, 2, count, draw(), draw() & 0xFFFFF, 30 * trial - 90, 7)):
            args[k] = v
        fast, plain = kernel.new_accumulator(), kernel.new_accumulator()
        for _ in range(2):
            sums(args, samples, fast, table)
            kernel.accumulate_plain(args, samples, plain, table)
            channel_sums.product_sum(args, samples, fast)
            channel_sums.cross_sum_plain(args, samples, plain)
            channel_sums.square_sum(args, samples, fast)
            channel_sums.channel_sum_plain(args, samples, plain)
        assert fast == plain, (trial, list(fast), list(plain))
        out(f"{count} {list(window_end.sum_values(fast))}")
        args[kernel.ARG_COUNT] = 1
        rest = kernel.new_accumulator()
        sums(args, samples, rest, table)
        window_end.part_sums(fast, rest, 9 * trial)
        out(f"{list(fast)} {list(rest)}")


def roots(draw, out):
    for shift in range(0, 58, 3):
        value = (draw() << 34 | draw() << 10 | draw() >> 14) >> (57 - shift)
        out(str(fixed.isqrt(value)))


def ciphers(draw, out):
    gcm = Gcm(bytes(draw.octets(16)))
    for count in (0, 1, 15, 16, 17, 200):
        data, iv = draw.octets(count), bytes(draw.octets(12))
        for part in gcm.encrypt(iv, bytes(draw.octets(17)), bytes(data)):
            out(binascii.hexlify(part).decode())


def sums(draw, out):
    data = draw.octets(300)
    for start, end in ((0, 0), (0, 1), (3, 300), (299, 300)):
        out(f"{octets.crc16(data, start, end)} {rtu.crc16(data, start, end)}")
        out(str(octets.find(data, data[200], start, end)))
    octets.copy(data, 5, data, 100, 190)
    out(binascii.hexlify(data).decode())


def glyphs(draw, out):
    line, shown = bytearray(128), bytearray(1024)
    for glyph in range(0, 40, 7):
        for part in range(3):
            pixels.blit(line, draw() % 100, glyph, part)
        out(str(pixels.take(shown, 128 * (draw() & 7), line, 0, 128)))
    out(binascii.hexlify(shown).decode())


def result():
    told = hashlib.sha256()
    draw = Draw(20261129)
    for part in (loop, roots, ciphers, sums, glyphs):
        part(draw, lambda text: told.update(text.encode() + b"\n"))
    return binascii.hexlify(told.digest()).decode()
