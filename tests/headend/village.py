"""A few meters of the field in virtual time, for a collector: the real firmware, and links that
fall when a test says so."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from datetime import date

from openams.client.errors import LinkError
from openams.client.links import parse_url
from openams.field.device import Device
from openams.field.meters import MeterSpec
from openams.headend.collect.clock import VirtualClock
from openams.headend.collect.collector import Collector, Roads, Settings
from openams.headend.collect.link import opener_of
from openams.headend.days import day_bounds
from openams.headend.registercsv import load
from openams.keys import handover
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from tests.headend.registers import files, gsrn, meter_id

WRAPPER = struct.Struct(">HHHH")
# Few rounds: the tests' keystores protect nothing.
FAST = 1 << 4


class Transport:
    """A connection to a device at the time of the clock."""

    def __init__(self, village, number, sap):
        self.village, self.number, self.sap = village, number, sap
        self.channel = village.channel(number)
        self.exchanges = 0
        self.came = b""

    def send_request(self, apdu):
        self.exchanges += 1
        self.village.before(self.number, self.exchanges)
        self.village.asked[self.number] += 1
        head = WRAPPER.pack(1, self.sap, 1, len(apdu))
        self.came += self.village.feed(self.number, self.channel, head + apdu)
        return self.receive()

    def receive(self):
        if len(self.came) < 8:
            raise LinkError("no answer")
        size = 8 + WRAPPER.unpack(self.came[:8])[3]
        out, self.came = self.came[8:size], self.came[size:]
        return out

    def disconnect(self):
        self.village.hang_up(self.number, self.channel)


class Village:
    """`count` meters from the midnight of `begin` on, each on a point; the register is in `store`.

    `down` says of (number, utc_ms) whether nobody reaches a meter; `falls` after how many exchanges
    a connection of one falls; `wrong` whose answers come instead of another's.
    """

    def __init__(self, folder, store, count=3, begin=date(2026, 1, 5), period_s=3600, **texts):
        self.begin = begin
        self.clock = VirtualClock(day_bounds(begin)[0])
        self.store = store
        self.ids = [meter_id(k) for k in range(count)]
        self.points = [gsrn(k) for k in range(count)]
        self.keys = Keystore(folder / "all.keys", b"secret", FAST)
        self.keys.new_all(self.ids)
        self.readers = Keystore(folder / "readers.keys", b"other", FAST)
        security = [provisioned(self.keys, number) for number in self.ids]
        handover.give_readers(self.keys, self.readers, self.ids)
        spec = MeterSpec(self.ids[0], period_s=period_s)
        self.devices = [
            Device(replace(spec, meter_id=number, seed=k), self.clock.now_ms(), security[k])
            for k, number in enumerate(self.ids)
        ]
        self.asked = [0] * count
        self.down = lambda number, utc_ms: False
        self.falls = {}
        self.wrong = {}
        self.open = [set() for _ in range(count)]
        self.most_open = 0
        if store is not None:
            # Meters come from the works with their registers at zero.
            texts.setdefault(
                "relations",
                "gsrn,meter_id,from,to,start_plus_kwh,start_minus_kwh\n"
                + "".join(
                    f"{point},{number},{begin},,0,0\n"
                    for point, number in zip(self.points, self.ids, strict=True)
                ),
            )
            tables, errors = load(files(folder, count, begin=begin.isoformat(), **texts))
            assert errors == [] and store.import_register(tables, 1) == []

    # --- what a link does --------------------------------------------------------------------

    def played(self, number):
        device = self.devices[number]
        device.play(self.clock.now_ms())
        return device

    def before(self, number, exchanges):
        if self.down(number, self.clock.now_ms()):
            raise LinkError("no answer")
        if exchanges > self.falls.get(number, 1 << 30):
            raise LinkError("the connection has fallen")

    def channel(self, number):
        self.before(number, 0)
        free = next(k for k in range(1, 5) if k not in self.open[number])
        self.open[number].add(free)
        self.most_open = max(self.most_open, sum(map(len, self.open)))
        self.played(self.wrong.get(number, number)).open(free)
        return free

    def hang_up(self, number, channel):
        self.open[number].discard(channel)
        self.devices[self.wrong.get(number, number)].close(channel)

    def feed(self, number, channel, octets):
        return self.played(self.wrong.get(number, number)).feed(channel, octets)

    # --- a collector -------------------------------------------------------------------------

    def opener(self, row):
        number = self.ids.index(row.meter_id)
        return replace(
            parse_url(row.url), opener=lambda sap, timeout_s: Transport(self, number, sap)
        )

    def roads(self):
        village = self

        class Through(Roads):
            def meter(self, row):
                return opener_of(village.opener(row), 5.0)

        return Through()

    def collector(self, name="collector", store=None, **settings):
        return Collector(
            store or self.store, self.readers, self.clock, Settings(name, **settings),
            self.roads(), seed=1,
        )  # fmt: skip

    def collect(self, until_day, **settings):
        """Lets a collector work until the midnight at the begin of a day, and gives it."""
        collector = self.collector(**settings)
        asyncio.run(collector.run(until_ms=day_bounds(until_day)[0]))
        return collector

    # --- what is true ------------------------------------------------------------------------

    def truth(self, number, day, minutes=60):
        """(Wh of each interval of a local day, of the whole day), from the house itself.

        Rounded as a register is: at each boundary.
        """
        device = self.devices[number]
        begin, end = day_bounds(day)
        uws, out = 0, []
        first = day_bounds(self.begin)[0]
        sums = {}
        for quarter in range(first // 900_000, end // 900_000):
            if 900_000 * quarter % (60_000 * minutes) == 0 and 900_000 * quarter >= begin:
                sums[900_000 * quarter] = uws // 3_600_000_000
            uws += device.truth.get(quarter, 0)
        sums[end] = uws // 3_600_000_000
        edges = [sums[at] for at in sorted(sums)]
        out = [after - before for before, after in zip(edges, edges[1:], strict=False)]
        return out, edges[-1] - edges[0]
