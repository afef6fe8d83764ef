"""Stores to test on: SQLite in a file, and PostgreSQL by a server that is started once."""

from __future__ import annotations

import itertools
import shutil

import pytest

from openams.headend.store import open_store
from tests.headend.natsserver import NatsServer
from tests.headend.postgres import Server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def nats_server():
    server = NatsServer()
    yield server
    server.close()


@pytest.fixture
def nats(nats_server):
    """A bus that nothing was ever sent over."""
    nats_server.empty()
    return nats_server


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory):
    """A store without rows: copied, its tables need not be made in each test."""
    path = tmp_path_factory.mktemp("empty") / "headend.db"
    with open_store(path):
        pass
    return path


def copied(empty, folder):
    path = folder / "headend.db"
    shutil.copy(empty, path)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, tmp_path):
    """Of a new store, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{copied(request.getfixturevalue('empty_file'), tmp_path)}"
    return request.getfixturevalue("postgres").store_url(f"test{next(_numbers)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request, tmp_path):
    """Of a store that nobody has opened yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new.db"
    return request.getfixturevalue("postgres").url(f"new{next(_numbers)}")


@pytest.fixture
def store(store_url):
    with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def file_store(empty_file, tmp_path):
    """On SQLite alone: where the engine is not what is tested."""
    with open_store(copied(empty_file, tmp_path)) as opened:
        yield opened
