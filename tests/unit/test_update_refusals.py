"""What a whole meter refuses: said to the client, entered in the log, and nothing else changes."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dlms import TITLE
from test_image_transfer import EXPIRY, IMAGE, START_MS, Bench
from test_update import KEY, UPDATE_KEY, image_of

from ams.events import events
from ams.update import reasons, updater
from openams.image import build as make

OTHER_TITLE = b"OAM\0\0\0\0\2"
HOUR_MS = 3_600_000
FOR_LONG = EXPIRY + 4_000_000
FILES = {"ams/a.py": b"one " * 300, "ams/b.py": bytes(random.Random(5).randbytes(700))}


def mine(files=FILES, **more):
    return image_of(files, **{"title": TITLE, "expiry": FOR_LONG, **more})


def lying(files, size):
    """Whoever signs says that the first file is `size` octets long."""
    manifest, package = make.build(files, "unix", "0.2.0", 1)
    first = len(next(iter(files.values())))
    manifest = manifest.replace(first.to_bytes(4, "big"), size.to_bytes(4, "big"), 1)
    mac = make.release(manifest, TITLE, FOR_LONG, UPDATE_KEY)
    return make.whole(manifest, package, make.sign(manifest, KEY), TITLE, FOR_LONG, mac)


def spliced(one, other):
    """The head and manifest of one image, the package of another."""
    return one[: -package_size(one)] + other[-package_size(other) :]


def package_size(image):
    return int.from_bytes(image[8:12], "big")


class Meter:
    """A meter that measures, and what it had before anything was sent to it."""

    def __init__(self):
        self.bench = Bench()
        self.now_ms = START_MS
        self.pass_time(1000)

    @property
    def updater(self):
        return self.bench.meter.updater

    def pass_time(self, ms):
        meter = self.bench.meter
        self.now_ms += ms
        meter.measured(self.now_ms, ms, ms * 1000, 0, 0)

    def offer(self, image, size=None):
        """The reason for which it is refused, or "ok"."""
        at = self.updater
        size = size or len(image)
        if at.do(at.initiate, random.randbytes(8), size, 256):
            return "denied"
        for number, start in enumerate(range(0, size, 256)):
            assert at.do(at.put, number, image[start : start + 256]) == 0
        # The log has them too, as many as it takes (test_log_floods).
        refused = []
        enter, at._on_refused = at._on_refused, refused.append
        at.do(at.verify)
        while at.busy:
            at.step()
        at._on_refused = enter
        if at.status == updater.VERIFIED:
            return "ok"
        (reason,) = refused
        enter(reason)
        assert at.do(at.activate) != 0 and not at.restart and not at.switch.trial
        return reasons.NAMES[reason]


@pytest.fixture(scope="module")
def meter():
    return Meter()


@pytest.mark.parametrize(
    "image, why",
    [
        (mine(key=ec.generate_private_key(ec.SECP256R1())), "bad-signature"),
        (mine(title=OTHER_TITLE), "wrong-meter"),
        (mine(update_key=bytes(16)), "bad-release"),
        (mine(expiry=START_MS // 1000), "expired"),
        (mine(security=0), "old-security"),
        (mine(board="pico"), "wrong-board"),
        (mine(product="other"), "wrong-product"),
        (mine(minimum="9.0.0"), "version-too-low"),
        (mine(state_format=2), "state-format"),
        (mine(state_format=0), "state-format"),
        (mine()[:-1], "bad-size"),
        (mine()[:-256], "bad-size"),
        (mine()[:121], "bad-form"),
        (mine() + b"\0", "bad-size"),
        (spliced(mine(), mine({**FILES, "ams/b.py": bytes(700)})), "bad-size"),
        (spliced(mine(), mine({**FILES, "ams/b.py": random.Random(6).randbytes(700)})),
         "bad-package"),
        # 60 000 zeros that are said to be 100, and 100 that are said to be 60 000.
        (lying({"a.py": bytes(60000)}, 100), "too-large"),
        (lying({"a.py": bytes(60000)}, 60001), "bad-file"),
        (lying({"a.py": bytes(60000)}, 1 << 30), "too-large"),
        (mine({"a.py": bytes(70000)}), "too-large"),
        *[
            (mine({name: b""}), "bad-name")
            for name in (
                "../a.py", "/a.py", "a/../b.py", "a//b.py", "./a.py", ".a.py", "a\\b.py", "a.so",
                "a.py/", "A.py", "a b.py", "a\0.py", "a.py\n", "~a/b.py", "..py", ".py", "c:a.py",
            )
        ],
    ],
)  # fmt: skip
def test_refused_and_logged(meter, image, why):
    # A log takes so many an hour.
    meter.pass_time(HOUR_MS // 8)
    kept = bytes(meter.bench.meter.link.keyring.secret("update"))
    register = meter.bench.meter.energy.mwh[0]
    assert meter.offer(image) == why
    meter.pass_time(3_600_000)
    assert meter.bench.meter.energy.mwh[0] > register
    assert meter.bench.meter.link.keyring.secret("update") == kept


def test_what_is_good_is_taken(meter):
    assert meter.offer(mine()) == "ok"


def test_one_flipped_bit_in_each_octet(meter):
    rng = random.Random(1)
    good = mine()
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 1 << rng.randrange(8)
        if at % 64 == 0:
            meter.pass_time(HOUR_MS)
        assert meter.offer(bytes(bad)) != "ok", at


def test_a_block_of_another_image(meter):
    """Each in its turn, of an image that is as good."""
    one, other = mine(), mine({**FILES, "ams/b.py": random.Random(6).randbytes(700)})
    assert len(one) == len(other)
    mixed = 0
    for at in range(0, len(one), 64):
        image = one[:at] + other[at : at + 64] + one[at + 64 :]
        if image != one:
            mixed += 1
            meter.pass_time(HOUR_MS)
            assert meter.offer(image) != "ok", at
    assert mixed > 10


def test_a_block_that_is_there_is_not_replaced(meter):
    at = meter.updater
    one, other = mine(), mine(version="0.3.0")
    assert at.do(at.initiate, b"one", len(one), 64) == 0
    assert at.do(at.put, 2, one[128:192]) == 0 == at.do(at.put, 2, one[128:192])
    assert at.do(at.put, 2, other[128:192]) != 0


def test_blocks_that_never_came():
    bench = Bench()
    bench.transfer(IMAGE[:-64])
    # It was said to be that long: what is missing at its end is seen.
    bench.call(3)
    bench.poll(200)
    assert bench.read(6) == b"\x16\x04"
    assert (events.FIRMWARE_REFUSED, reasons.BAD_SIZE) in bench.codes()
    other = Bench()
    other.meter.updater.do(other.meter.updater.initiate, b"v2", len(IMAGE), 64)
    assert other.call(3) == 3
    assert (events.FIRMWARE_REFUSED, reasons.INCOMPLETE) in other.codes()
