"""Why an image is refused: `detail` of the event firmware-verification-failed."""

from micropython import const

OK = const(0)
BAD_FORM = const(1)
BAD_SIZE = const(2)  # what came is not what the image says it is long
WRONG_PRODUCT = const(3)
WRONG_BOARD = const(4)
BAD_SIGNATURE = const(5)
WRONG_METER = const(6)
BAD_RELEASE = const(7)  # not released under this meter's update key
EXPIRED = const(8)
CLOCK_INVALID = const(9)
OLD_SECURITY = const(10)
VERSION_TOO_LOW = const(11)  # the base is older than what the image can stand in front of
STATE_FORMAT = const(12)  # it would not understand the flash
BAD_NAME = const(13)
BAD_PACKAGE = const(14)
BAD_FILE = const(15)
TOO_LARGE = const(16)
INCOMPLETE = const(17)  # blocks are missing
NO_KEY = const(18)
NOT_STORED = const(19)
CHANGED = const(20)  # what was verified is no longer what the slot holds
NOT_CONFIRMED = const(21)  # the self-test did not pass
WRONG_PLACE = const(22)  # a whole firmware, linked for another half than the one that is free
NAMES = (
    "ok",
    "bad-form",
    "bad-size",
    "wrong-product",
    "wrong-board",
    "bad-signature",
    "wrong-meter",
    "bad-release",
    "expired",
    "clock-invalid",
    "old-security",
    "version-too-low",
    "state-format",
    "bad-name",
    "bad-package",
    "bad-file",
    "too-large",
    "incomplete",
    "no-key",
    "not-stored",
    "changed",
    "not-confirmed",
    "wrong-place",
)
