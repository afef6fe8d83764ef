# OpenAMS: an open smart electricity meter. See docs/architecture.md.

__version__ = "0.1.0"
# Raised when an image closes a hole: none of a lower one runs after it from a slot.
SECURITY_VERSION = 1
# Of what the flash holds: an image of another one is refused.
STATE_FORMAT = 1
