"""All of a store in one class; each part is a module of its own."""

from __future__ import annotations

from openams.headend.store.registers import RegisterStore


class Store(RegisterStore):
    """The head-end's memory. Of one thread; `transaction` makes several calls one."""
