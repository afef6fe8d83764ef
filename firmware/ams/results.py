"""Data-access-result and action-result codes (IEC 62056-5-3, DLMS Green Book)."""

from micropython import const

SUCCESS = const(0)
HARDWARE_FAULT = const(1)
TEMPORARY_FAILURE = const(2)
READ_WRITE_DENIED = const(3)
OBJECT_UNDEFINED = const(4)
CLASS_INCONSISTENT = const(9)
OBJECT_UNAVAILABLE = const(11)
TYPE_UNMATCHED = const(12)
SCOPE_VIOLATED = const(13)
BLOCK_UNAVAILABLE = const(14)
LONG_GET_ABORTED = const(15)
NO_LONG_GET = const(16)
LONG_SET_ABORTED = const(17)
NO_LONG_SET = const(18)
BLOCK_NUMBER_INVALID = const(19)
OTHER_REASON = const(250)
# Of actions only.
LONG_ACTION_ABORTED = const(15)
NO_LONG_ACTION = const(16)


class AccessError(Exception):
    """A service on an attribute or method is refused; `code` is the result to answer."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code
