# thumb.take_frames against its plain twin to the last bit, and what a set of an ADS131M08 costs.
import gc
import json
import time
from array import array

import thumb

from ams.metrology import kernel
from ams.metrology.calibration import Calibration
from ams.metrology.metrology import Metrology
from ams.metrology.quantities import Quantities
from drivers import ads131m08

CHANNELS = 6
FRAMES = 80
CYCLES_PER_US = 125

table = bytearray(1024)
ads131m08.fill_crc_table(table)


def crc_of(octets):
    crc = 0xFFFF
    for octet in octets:
        at = 4 * (crc >> 8 ^ octet)
        crc = (crc << 8 & 0xFF00) ^ table[at + 3] << 8 ^ table[at + 2]
    return crc


def status_of(channels):
    return 0x0100 | (1 << channels) - 1


def ring_of(code, frames, channels=CHANNELS):
    """What DMA stores: little-endian words, 24 bits above eight zeros."""
    size = 4 * (channels + 2)
    ring = bytearray(size * frames)
    for k in range(frames):
        wire = bytearray(27)
        wire[0] = status_of(channels) >> 8
        wire[1] = status_of(channels) & 0xFF
        for c in range(channels):
            value = code(k, c) & 0xFFFFFF
            for o in range(3):
                wire[3 + 3 * c + o] = value >> (16 - 8 * o) & 0xFF
        at = size * k
        for w in range(channels + 1):
            for o in range(3):
                ring[at + 4 * w + 3 - o] = wire[3 * w + o]
        crc = crc_of(wire)
        ring[at + size - 1] = crc >> 8
        ring[at + size - 2] = crc & 0xFF
    return ring


def arguments(at, count, frames, channels=CHANNELS):
    args = array("i", bytes(4 * ads131m08.ARG_LENGTH))
    size = 4 * (channels + 2)
    off = 3 * (ads131m08.CHANNELS - channels)
    given = (size * at, count, channels, status_of(channels) << 16, size * frames, off)
    for place, value in enumerate(given):
        args[place] = value
    return args


def noise(k, c):
    return (k * 7919 + c * 104729) * 2654435 >> 3


def twins():
    """Whole rings, wrapped ones, and every word spoilt: both do the same."""
    checked = 0
    ring = ring_of(noise, 8)
    cases = [(0, 8, None, 0), (5, 8, None, 0), (7, 1, None, 0), (3, 0, None, 0)]
    cases += [(0, 8, word, 8 + 3 * word) for word in range(8)]
    cases += [(6, 8, 0, 31), (6, 8, 7, 15), (6, 8, 7, 16)]
    for at, count, word, bit in cases:
        one = bytearray(ring)
        if word is not None:
            one[3 * 32 + 4 * word + bit // 8] ^= 1 << bit % 8
        outs = []
        for take in (ads131m08.take_frames, thumb.take_frames):
            out = array("i", bytes(4 * CHANNELS * 8))
            args = arguments(at, count, 8)
            left = take(args, one, out, table)
            outs.append((left, list(args)[:6], list(out)))
        assert outs[0] == outs[1], (at, count, word, bit, outs)
        checked += 1
    return checked


def share(channels=CHANNELS):
    """Of the core: frames taken, and with the metrology behind them, as the board does it."""
    cosines = kernel.make_table()

    def wave(k, c):
        phase = (k * 1024 * 50 // 4000 - (c // 2) * 341) & 1023
        return cosines[phase] * (390 if c & 1 else 280)

    ring = ring_of(wave, FRAMES, channels)
    samples = array("i", bytes(4 * channels * FRAMES))
    args = arguments(0, FRAMES, FRAMES, channels)
    kernel.pair_sums = thumb.accumulate
    record = ads131m08.default_calibration("3P4W", neutral=channels > CHANNELS)
    meter = Metrology(Calibration("3P4W", record), Quantities("3P4W"), lambda p, q, d: None)
    for _ in range(30):
        args[1] = FRAMES
        thumb.take_frames(args, ring, samples, table)
        meter.feed(samples, FRAMES)
    gc.collect()
    taken = whole = 0
    for _ in range(20):
        start = time.ticks_us()
        args[1] = FRAMES
        left = thumb.take_frames(args, ring, samples, table)
        middle = time.ticks_us()
        meter.feed(samples, FRAMES)
        taken += time.ticks_diff(middle, start)
        whole += time.ticks_diff(time.ticks_us(), start)
        assert left == 0
    start = time.ticks_us()
    gc.collect()
    whole += time.ticks_diff(time.ticks_us(), start)
    return {
        "cycles_per_frame": taken * CYCLES_PER_US / (20 * FRAMES),
        "taken_percent": taken / 4000,
        "share_percent": whole / 4000,
    }


# The test of the twins has no need of the share.
result = {}
if not globals().get("TWINS_ALONE"):
    result = share()
    result["neutral_percent"] = share(CHANNELS + 1)["share_percent"]
result["checked"] = twins()
print(json.dumps(result))
