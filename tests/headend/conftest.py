"""Stores to test on: SQLite in a file, and PostgreSQL by a server that is started once."""

from __future__ import annotations

import itertools

import pytest

from openams.headend.store import open_store
from tests.headend.postgres import Server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres():
    server = Server()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, tmp_path):
    """Of a new store, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/headend.db"
    return request.getfixturevalue("postgres").url(f"test{next(_numbers)}")


@pytest.fixture
def store(store_url):
    with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def file_store(tmp_path):
    """On SQLite alone: where the engine is not what is tested."""
    with open_store(tmp_path / "headend.db") as opened:
        yield opened
