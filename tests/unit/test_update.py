"""Images, their transfer and the switch, against flash whose power goes; ECDSA against others."""

from __future__ import annotations

import hashlib
import random

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from ams.crypto import p256
from ams.storage.cells import Cells
from ams.storage.journal import Journal
from ams.update import image as form
from ams.update import reasons, verify
from ams.update.digest import run
from ams.update.slots import slots
from ams.update.switch import BASE
from ams.update.updater import VERIFICATION_FAILED, Denied, Updater
from openams.emulator.faulty_flash import FaultyFlash, PowerCut
from openams.image import build as make
from openams.keys.releasekey import public_octets

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = public_octets(KEY)
TITLE = b"OAM\0\0\0\0\1"
UPDATE_KEY = bytes(range(16))
NOW, EXPIRY = 1000, 2000
FILES = {"ams/a.mpy": b"one " * 300, "ams/b/c.mpy": bytes(range(256)) * 3, "main.py": b"pass\n"}
N = p256._N


def terms():
    return verify.Terms(b"openams", b"unix", (0, 1, 0), 1, TITLE, UPDATE_KEY, PUBLIC, lambda: NOW)


def image_of(files=FILES, key=KEY, title=TITLE, update_key=UPDATE_KEY, expiry=EXPIRY, **more):
    options = {"board": "unix", "version": "0.2.0", "security": 1, **more}
    manifest, package = make.build(files, **options)
    mac = make.release(manifest, title, expiry, update_key)
    return make.whole(manifest, package, make.sign(manifest, key), title, expiry, mac)


GOOD = image_of()


def judge(data, security=1, size=None, origin=None):
    def read(offset, buffer):
        piece = data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece

    held = terms()
    held.security = security
    held.origin = origin
    try:
        run(verify.steps(read, size or len(data), held))
    except form.Refused as refusal:
        return reasons.NAMES[refusal.reason]
    return "ok"


@pytest.mark.parametrize(
    "data, why",
    [
        (GOOD, "ok"),
        (image_of(key=ec.generate_private_key(ec.SECP256R1())), "bad-signature"),
        (image_of(title=b"OAM\0\0\0\0\2"), "wrong-meter"),
        (image_of(update_key=bytes(16)), "bad-release"),
        (image_of(expiry=NOW), "expired"),
        (image_of(security=0), "old-security"),
        (image_of(board="pico"), "wrong-board"),
        (image_of(product="other"), "wrong-product"),
        (image_of(minimum="0.2.0"), "version-too-low"),
        (image_of(state_format=2), "state-format"),
        (GOOD[:-1], "bad-size"),
        (GOOD + b"\0", "bad-size"),
        *[
            (image_of({name: b""}), "bad-name")
            for name in ("../a.mpy", "/a.mpy", "a/../b.py", "a//b.py", ".a.py", "a\\b.py", "a.so")
        ],
        (image_of({"a.py": bytes(70000)}), "too-large"),
    ],
)
def test_what_is_refused(data, why):
    assert judge(data) == why


ORIGIN = 0x100BA000


def whole_image(origin=ORIGIN, code=bytes(range(256)) * 9, **more):
    options = {"board": "unix", "version": "0.2.0", "security": 1, **more}
    manifest, package = make.build_whole(code, origin, **options)
    mac = make.release(manifest, TITLE, EXPIRY, UPDATE_KEY)
    return make.whole(manifest, package, make.sign(manifest, KEY), TITLE, EXPIRY, mac)


WHOLE = whole_image()


@pytest.mark.parametrize(
    ("data", "origin", "why"),
    [
        (WHOLE, ORIGIN, "ok"),
        (whole_image(0x10006000), ORIGIN, "wrong-place"),
        # Files on a board that takes a whole firmware, and the other way round.
        (GOOD, ORIGIN, "bad-form"),
        (WHOLE, None, "bad-form"),
        (whole_image(code=b""), ORIGIN, "bad-size"),
        (whole_image(security=0), ORIGIN, "old-security"),
        (WHOLE[:-1], ORIGIN, "bad-size"),
        (WHOLE[:4096] + bytes((WHOLE[4096] ^ 1,)) + WHOLE[4097:], ORIGIN, "bad-package"),
        (WHOLE[:4000] + b"\0" + WHOLE[4001:], ORIGIN, "bad-package"),
    ],
)
def test_what_is_refused_of_a_whole_firmware(data, origin, why):
    assert judge(data, origin=origin) == why


def test_a_whole_firmware_says_no_files_and_has_its_code_where_it_runs():
    manifest, package = make.build_whole(b"code", ORIGIN, "unix", "0.2.0", 1)
    assert form.CODE_AT == make.CODE_AT
    assert form.HEAD_SIZE + len(manifest) + len(package) == form.CODE_AT + 4
    # A manifest that is signed and lies: one octet fewer of padding, files that are none.
    short = manifest.replace(len(package).to_bytes(4, "big"), (len(package) - 5).to_bytes(4, "big"))
    files = bytearray(manifest)
    files[len(manifest) - 41] = 1
    for lie, pack in ((short, package[5:]), (bytes(files), package)):
        mac = make.release(lie, TITLE, EXPIRY, UPDATE_KEY)
        signed = make.whole(lie, pack, make.sign(lie, KEY), TITLE, EXPIRY, mac)
        assert judge(signed, origin=ORIGIN) in ("bad-size", "bad-form")


def test_a_bomb_stops_at_the_size_it_was_said_to_have():
    """Even when whoever signs lies about the size."""
    files = {"a.py": bytes(60000)}
    manifest, package = make.build(files, "unix", "0.2.0", 1)
    lie = manifest.replace((60000).to_bytes(4, "big"), (100).to_bytes(4, "big"))
    mac = make.release(lie, TITLE, EXPIRY, UPDATE_KEY)
    assert judge(make.whole(lie, package, make.sign(lie, KEY), TITLE, EXPIRY, mac)) == "too-large"


def test_ecdsa_is_that_of_others():
    for number in range(6):
        message = bytes([number]) * number
        r, s = decode_dss_signature(KEY.sign(message, ec.ECDSA(hashes.SHA256())))
        digest = hashlib.sha256(message).digest()

        def octets(*numbers):
            return b"".join(value.to_bytes(32, "big") for value in numbers)

        assert p256.verify(PUBLIC, digest, octets(r, s))
        assert p256.verify(PUBLIC, digest, octets(r, N - s))
        for bad in ((0, s), (r, 0), (N, s), (r, N), (r + 1, s), (s, r), (N - r, s), (1, 1)):
            assert not p256.verify(PUBLIC, digest, octets(*bad))
        assert not p256.verify(PUBLIC, hashlib.sha256(digest).digest(), octets(r, s))
        off = PUBLIC[:63] + bytes((PUBLIC[63] ^ 1,))
        assert not p256.verify(off, digest, octets(r, s))


class Device:
    """A meter's update alone: the ring of its cells, the slots, and the start."""

    def __init__(self, image=None, cut=None, torn=None):
        self.flash = FaultyFlash(3 + 8, image)
        self.flash.cut_at, self.flash.torn = cut, torn
        self.refusals = []

    def start(self):
        self.cells = Cells(Journal(self.flash, 0, 3, 9))
        self.updater = Updater(
            self.cells, slots(Part(self.flash, 3)), terms(), self.refusals.append, lambda: None
        )
        return self.updater.switch.choose(self.updater.slots, b"unix")


class Part:
    """The sectors of a flash from `first` on."""

    sector_size, page_size = 4096, 256

    def __init__(self, flash, first):
        self._flash = flash
        self._base = first * 4096
        self.size = flash.size - self._base

    def read(self, address, buffer):
        self._flash.read(self._base + address, buffer)

    def program(self, address, data):
        self._flash.program(self._base + address, data)

    def erase(self, address):
        self._flash.erase(self._base + address)


BLOCKS = [GOOD[at : at + 256] for at in range(0, len(GOOD), 256)]


def update(device):
    """A client that starts anew where it was: gives the code that runs at the end."""
    running = device.start()
    updater = device.updater
    if updater.switch.trial:
        updater.confirm()
        return running
    if updater.switch.confirmed:
        return running
    updater.initiate(b"0.2.0", len(GOOD), 256)
    order = list(range(len(BLOCKS)))
    random.Random(3).shuffle(order)
    for number in order:
        if not updater.slots[updater.slot].has(number):
            updater.put(number, BLOCKS[number])
    if not updater.verify():
        while updater.busy:
            updater.step()
    assert not device.refusals
    updater.activate()
    return device.start()


def is_whole(device):
    slot = device.start()
    if slot == BASE:
        return True
    held = bytearray(len(GOOD))
    device.updater.slots[slot].read(0, held)
    return bytes(held) == GOOD


def test_an_update_from_end_to_end():
    device = Device()
    assert update(device) == 1 and device.updater.switch.trial == 1
    assert update(device) == 1 and device.updater.switch.trial == BASE
    assert Device(device.flash.image()).start() == 1


def test_one_that_never_confirms_is_rolled_back():
    device = Device()
    update(device)
    runs = [device.start() for _ in range(6)]
    assert runs[-1] == BASE and runs.count(1) == 2


@pytest.mark.parametrize("fault", [OSError, MemoryError])
def test_a_verification_that_breaks_off_has_verified_nothing(fault):
    """At any of its readings: it ends as failed, and does not pass with its next piece."""
    for at in range(1, 14, 4):
        device = Device()
        device.start()
        updater = device.updater
        updater.initiate(b"0.2.0", len(GOOD), 256)
        for number, block in enumerate(BLOCKS):
            updater.put(number, block)
        slot = updater.slots[updater.slot]
        real, left = slot.read, [at]

        def read(offset, buffer, real=real, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise fault
            real(offset, buffer)

        slot.read = read
        assert updater.verify() is False
        while updater.busy:
            updater.step()
        assert left[0] <= 0, "it never read so often"
        assert updater.status == VERIFICATION_FAILED and updater.image is None
        assert device.refusals == [reasons.NOT_STORED]
        with pytest.raises(Denied):
            updater.activate()


def test_a_slot_that_rots_does_not_run():
    device = Device()
    update(device)
    update(device)
    device.flash.data[(3 + 1) * 4096 + 200] ^= 1
    assert device.start() == BASE and device.start() == BASE


def test_power_cuts_at_every_operation():
    """Old or new, whole, after each; and the client gets to the end from where it was."""
    first = Device()
    update(first)
    update(first)
    total = first.flash.operations
    for torn in (None, "bytes", "bits"):
        for cut in range(total):
            device = Device(None, cut, torn)
            with pytest.raises(PowerCut):
                update(device)
                update(device)
            again = Device(device.flash.image())
            assert is_whole(again), (cut, torn)
            update(again)
            update(again)
            assert again.start() == 1 and is_whole(again), (cut, torn)


VM = """
import binascii
from ams.crypto import p256
from ams.update import verify
from ams.update.digest import run
data = binascii.unhexlify("%s")
public = binascii.unhexlify("%s")
def read(offset, buffer):
    buffer[:] = data[offset : offset + len(buffer)]
title = b"OAM\\x00\\x00\\x00\\x00\\x01"
terms = verify.Terms(
    b"openams", b"unix", (0, 1, 0), 1, title, bytes(range(16)), public, lambda: 1000
)
terms.security = 1
print(run(verify.steps(read, len(data), terms)).version)
"""


def test_verified_on_the_vm(micropython):
    assert micropython(VM % (GOOD.hex(), PUBLIC.hex())).strip() == "0.2.0"
