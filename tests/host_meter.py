"""The firmware's two-way link behind the bench's ports, in this process."""

from __future__ import annotations

import os

from dlms import Cells, Model

from ams.cosem.access import EVERYBODY, Object, Rights
from ams.link import MeterLink
from openams.keys.provision import provisioned
from openams.lines.channels import ACKNOWLEDGED, CLOSE, CLOSED, DATA, OPENED

METER = "7359990000000017"


class Name(Object):
    class_id = 1
    attributes = 2

    def get(self, attribute, out, selection=None):
        out.octets(b"OAM0000000000001")


class Meter:
    """The firmware's two-way link behind the bench's ports; the model is that of the tests."""

    def __init__(self, store, ports, cells=None, attach=True):
        self.ports = ports
        self.cells = Cells() if cells is None else cells
        self.events = []
        self.said = []
        self.ticks = 0
        model = Model()
        name = (1, bytes((0, 0, 42, 0, 0, 255)), lambda ln, session: Name(ln), Rights(EVERYBODY))
        model.table.append(name)
        self.link = MeterLink(
            self, model, self.cells, provisioned(store, METER), lambda *e: self.events.append(e)
        )
        if attach:
            ports.attach(self.take)

    def take(self, channel, kind, data):
        self.ticks += 1
        if kind == OPENED:
            self.link.opened(channel)
        elif kind == DATA:
            self.link.feed(channel, memoryview(bytearray(data)), self.ticks)
        elif kind == CLOSED:
            self.link.closed(channel)
            self.ports.from_meter(channel, ACKNOWLEDGED, b"")

    # What a board does.

    def entropy(self, count):
        return os.urandom(count)

    def link_write(self, channel, data):
        self.ports.from_meter(channel, DATA, bytes(data))

    def link_close(self, channel):
        self.ports.from_meter(channel, CLOSE, b"")

    def log(self, text):
        self.said.append(text)
