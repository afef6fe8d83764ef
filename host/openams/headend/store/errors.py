"""What goes wrong with a store: one line each."""

from __future__ import annotations

from openams.errors import BenchError


class StoreError(BenchError):
    """The store cannot do what was asked; nothing of the transaction is kept."""


class GoneError(StoreError):
    """The database does not answer, or its disk is full: what was asked may be asked again."""


class ClashError(StoreError):
    """Somebody else has written the same meanwhile: what was asked is done again from its begin."""
