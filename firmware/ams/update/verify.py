"""Whether an image in a slot may run on this meter. Both locks must open:

the signature of the release key over the manifest, which names the hash of everything else, and
the release of this very meter over the manifest, its title and an expiry, under its own update key.
Nothing is inflated before both are right and the package is what was signed.
"""

from micropython import const

from ams.crypto import p256
from ams.crypto.gcm import equal
from ams.crypto.hmac import hmac_sha256
from ams.update import image, inflate, reasons
from ams.update.digest import hash_steps
from ams.update.image import demand

# Entries that are read before control goes back.
_AT_A_TIME = const(8)


class Terms:
    """What an image is held against. `now_s()` gives None while the clock is not to be trusted.

    `release_key`: 64 octets, the public one. `update_key`: this meter's own, secret.
    """

    def __init__(
        self, product, board, version, state_format, title, update_key, release_key, now_s
    ):
        self.product = product
        self.board = board
        self.version = version
        self.state_format = state_format
        self.title = title
        self.update_key = update_key
        self.release_key = release_key
        self.now_s = now_s
        self.security = 0  # the least security version that may run
        self.origin = None  # of the code, where an image is a whole firmware


class Verified:
    """What a good image says of itself."""

    def __init__(self, head, manifest, digest):
        self.size = head.size
        self.security = manifest.security
        self.version = manifest.version_text
        self.signature = head.signature
        self.expiry_s = head.expiry_s
        self.hash = digest  # of all its octets


def fresh(expiry_s, terms):
    now_s = terms.now_s()
    demand(now_s is not None, reasons.CLOCK_INVALID)
    demand(now_s < expiry_s, reasons.EXPIRED)


def _fits(manifest, terms):
    """What is cheap, and tells whoever holds both keys what is wrong."""
    demand(manifest.product == terms.product, reasons.WRONG_PRODUCT)
    demand(manifest.board == terms.board, reasons.WRONG_BOARD)
    demand(manifest.security >= terms.security, reasons.OLD_SECURITY)
    demand(manifest.state_format == terms.state_format, reasons.STATE_FORMAT)
    demand(terms.version >= manifest.minimum, reasons.VERSION_TOO_LOW)
    # Files or a whole firmware, as the board takes it, for the place that it will have.
    demand((manifest.origin is None) == (terms.origin is None), reasons.BAD_FORM)
    demand(manifest.origin == terms.origin, reasons.WRONG_PLACE)


def steps(read, size, terms):
    """A generator: pieces of some ten ms each; returns Verified or raises Refused."""
    demand(terms.update_key and terms.release_key, reasons.NO_KEY)
    demand(size > image.HEAD_SIZE, reasons.BAD_SIZE)
    head, cursor, manifest = image.open_image(read)
    demand(head.size == size and head.package_size == manifest.package_size, reasons.BAD_SIZE)
    for number, _ in enumerate(image.files(head, cursor, manifest)):
        if number % _AT_A_TIME == 0:
            yield
    digest = cursor.hash.digest()
    demand(equal(head.title, terms.title), reasons.WRONG_METER)
    wanted = image.release_octets(digest, head.title, head.expiry_s)
    demand(equal(hmac_sha256(terms.update_key, wanted), head.release), reasons.BAD_RELEASE)
    good = yield from p256.steps(terms.release_key, digest, head.signature)
    demand(good, reasons.BAD_SIGNATURE)
    fresh(head.expiry_s, terms)
    _fits(manifest, terms)
    start = image.HEAD_SIZE + head.manifest_size
    package = yield from hash_steps(read, start, size)
    demand(equal(package, manifest.package_hash), reasons.BAD_PACKAGE)
    _, cursor, manifest = image.open_image(read)
    for file in image.files(head, cursor, manifest):
        for _ in inflate.pieces(read, file):
            pass
        yield
    # The second reading was of the same manifest.
    demand(equal(cursor.hash.digest(), digest), reasons.CHANGED)
    whole = yield from hash_steps(read, 0, size)
    return Verified(head, manifest, whole)
