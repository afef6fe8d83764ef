"""Servers of the tests of the whole chain: those of the head-end's."""

from tests.headend.conftest import nats, nats_server, postgres

__all__ = ["nats", "nats_server", "postgres"]
