"""MicroPython's `micropython` module for CPython: the names firmware uses."""

from __future__ import annotations

import builtins
from typing import Any, TypeVar

_F = TypeVar("_F")


def const(value: Any) -> Any:
    return value


def viper(function: _F) -> _F:
    return function


def native(function: _F) -> _F:
    return function


def opt_level(level: int | None = None) -> int:
    return 0


def mem_info(verbose: int = 0) -> None:
    return None


def _pointer(buffer: Any) -> Any:
    return buffer


# Viper's pointer casts are names of the compiler, not of any module.
for _name in ("ptr", "ptr8", "ptr16", "ptr32"):
    if not hasattr(builtins, _name):
        setattr(builtins, _name, _pointer)
if not hasattr(builtins, "uint"):
    builtins.uint = int  # type: ignore[attr-defined]
