"""What can be wrong with what comes from a HAN port."""

from __future__ import annotations

from openams.errors import BenchError


class HanError(BenchError):
    """A frame that cannot be read; one line."""


class ChecksumError(HanError):
    """A frame or telegram whose check does not fit."""


class CutShortError(HanError):
    """A frame that ends before its length says."""


class UnknownListError(HanError):
    """A good frame whose content is no list of a known maker."""
