"""All of a store in one class; each part is a module of its own."""

from __future__ import annotations

from openams.headend.store.jobs import JobStore
from openams.headend.store.raw import RawStore
from openams.headend.store.registers import RegisterStore
from openams.headend.store.values import ValueStore


class Store(RegisterStore, RawStore, ValueStore, JobStore):
    """The head-end's memory. Of one thread; `transaction` makes several calls one."""
