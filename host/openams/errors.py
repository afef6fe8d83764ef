"""Errors that a user can act on: one line each, shown without a traceback."""

from __future__ import annotations


class BenchError(Exception):
    """Something that the user can put right; the text says how."""
