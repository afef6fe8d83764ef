"""What became of a step of an image transfer: between the update and its COSEM object."""

from micropython import const

DONE = const(0)
BUSY = const(1)  # later: something is under way
DENIED = const(2)  # not in this state, or not of this form
REFUSED = const(3)  # the image may not run on this meter; the security log says why
NOT_STORED = const(4)
