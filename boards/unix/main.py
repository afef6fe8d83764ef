"""The meter's process on a PC: takes the bench's messages until it stops."""

import gc
import io
import json
import struct
import sys
import time
from array import array

from fileflash import FileFlash
from link import Link, LinkClosed

# Most samples of one message: 200 sets of six channels.
SAMPLES_MAX = 1200
# A row of quantities: time, how long, 17 values; most rows of one message.
ROW = "<qI14qi"
ROW_SIZE = 128
ROWS_MAX = 32


# Octets from a client of the two-way link, given to the meter at a time.
LINK_PIECE = 512
# Kinds of a message on a channel, from the bench.
LINK_DATA = 0
LINK_OPENED = 1
MBUS_CHANNEL = 255  # in the place of a channel
LINK_CHANNEL_MOST = 4  # of DLMS; above it Modbus
LINK_CONNECTED = 3  # the connection that the meter asked for

# Collect after so much new: a heap that is never full gets fewer holes.
GC_THRESHOLD = 32768
ROOMS = (
    "ams.clock.local",
    "ams.events.groups",
    "ams.events.events",
    "ams.registers.demand",
    "ams.registers.rates",
    "ams.registers.energy",
    "ams.metrology.quantities",
    "ams.metrology.kernel",
    "ams.metrology.channel_sums",
    "ams.metrology.fixed",
    "ams.metrology.oscillator",
    "ams.metrology.sums",
    "ams.metrology.element",
    "ams.metrology.calibration",
    "ams.metrology.metrology",
    "amsbench.aggregate",
    "ams.han.list_axdr",
    "ams.han.list_hdlc",
    "ams.han.list_view",
    "ams.han.quirk",
    "ams.han.port",
    "ams.registers.profile",
    "ams.registers.billing",
    "ams.registers.voltage",
    "ams.metrology.quality",
    "ams.clock.meter_clock",
    "ams.registers.record",
    "ams.storage.layout",
    "ams.storage.sectors",
    "ams.storage.eraser",
    "ams.storage.journal",
    "ams.storage.series",
    "ams.storage.logs",
    "ams.storage.missing",
    "ams.storage.snapshot",
    "ams.storage.cells",
    "ams.registers.entry_marks",
    "ams.registers.nv_memory",
    "ams.events.pace",
    "ams.clock.own_time",
    "ams.registers.recorder",
    "ams.storage.settings",
    "ams.han.port_settings",
    "ams.control.average",
    "ams.control.transitions",
    "ams.control.command",
    "ams.control.relay",
    "ams.control.breaker",
    "ams.control.limiter",
    "ams.control.quota",
    "ams.control.seen",
    "ams.control.moves",
    "ams.control.guard",
    "ams.control.button",
    "ams.control.control",
    "ams.control.case",
    "ams.faults",
    "ams.registers.sample_watch",
    "ams.metrology.status",
    "ams.clock.timing",
    "ams.meter",
    "amsbench.hold",
)
# Largest JSON answer; events go one by one.
ANSWER_MAX = 4096
# Exit code of a process that is to be started anew because it has failed: docs/update.md.
FAILED = 4


def ticks_ms():
    """Milliseconds that pass for whoever is at the other end of a link, at any speed."""
    if hasattr(time, "ticks_ms"):
        return time.ticks_ms()
    return time.monotonic_ns() // 1000000


def ticks_us():
    """The same in microseconds: silences on a serial line."""
    if hasattr(time, "ticks_us"):
        return time.ticks_us()
    return time.monotonic_ns() // 1000 & 0x3FFFFFFF


class Answer(io.IOBase):
    """A stream for json.dump into a buffer made once: the heap is small and gets holes."""

    def __init__(self):
        self._buffer = memoryview(bytearray(ANSWER_MAX))
        self._length = 0

    def write(self, data):
        data = data.encode() if isinstance(data, str) else data
        end = self._length + len(data)
        self._buffer[self._length : end] = data
        self._length = end
        return len(data)

    def take(self, value):
        """`value` as JSON octets, good until the next take."""
        self._length = 0
        json.dump(value, self)
        return self._buffer[: self._length]


def load_firmware():
    """Imports the rooms one by one.

    Here code is compiled from source, which leaves holes in the heap; what is
    collected between two rooms is filled by the next. A chip has it frozen.
    """
    if not hasattr(gc, "threshold"):
        # CPython, whose heap has no such holes: it looked for garbage most of the start.
        return
    gc.threshold(GC_THRESHOLD)
    for name in ROOMS:
        gc.collect()
        __import__(name)
    gc.collect()


class Process:
    def __init__(self):
        self.link = Link()
        self.answer = Answer()
        self.board = None
        self.started = None  # what the start-up chose
        self.started_ms = 0
        self.meter = None
        self.meter_link = None
        self.bus = None  # of sub-meters
        self.bus_ticks = 0
        self.bus_ms = 0
        self.nv_memory = None
        self.transformers = None  # of what `nv_memory` holds
        self.channels = 0
        self.samples = array("i", bytes(4 * SAMPLES_MAX))
        self.samples_view = memoryview(self.samples)
        self.samples_head = memoryview(bytearray(18))
        self.row_data = memoryview(bytearray(ROW_SIZE * ROWS_MAX))
        self.row = None
        self.link_head = memoryview(bytearray(2))
        self.link_data = memoryview(bytearray(LINK_PIECE))
        self.running = True
        self.handlers = {
            ord("C"): self.configure,
            ord("S"): self.take_samples,
            ord("Q"): self.hold,
            ord("T"): self.tick,
            ord("O"): self.open_han,
            ord("o"): self.close_han,
            ord("V"): self.view,
            ord("P"): self.push,
            ord("A"): self.operate,
            ord("R"): self.rows,
            ord("D"): self.link_message,
            ord("G"): self.more_numbers,
            ord("F"): self.finish,
            ord("X"): self.stop,
        }

    def run(self):
        while self.running:
            kind, length = self.link.receive()
            self.handlers[kind](length)
            if self.started is not None and self.started.slot:
                # To the watchdog: what was sent has been dealt with.
                self.link.send(ord("W"))
                if self.started.trial and self.trial_ended():
                    self.link.send(ord("L"), b"start-up: the trial is over: not confirmed")
                    sys.exit(FAILED)

    def trial_ended(self):
        return (ticks_ms() - self.started_ms) & 0x3FFFFFFF > self.started.trial_ms

    def start_up(self, config, flash, slots):
        """Chooses the code, before anything of `ams` is imported for good."""
        from amsboot import choice

        started = self.started = choice.choose(flash, slots, b"unix", config.get("failed", False))
        started.trial_ms = config.get("trial_ms", started.trial_ms)
        self.started_ms = ticks_ms()
        if started.slot:
            self.reply("B", {"slot": started.slot, "trial": started.trial})
            if sys.implementation.name == "micropython":
                from amsboot import slotfiles
            else:
                import slotfinder as slotfiles
            files = slotfiles.index(started.files)
            choice.leave_base()
            slotfiles.mount(started.files, files)

    def configure(self, length):
        config = json.loads(bytes(self.link.payload(length)).decode())
        if config.get("system") is None:
            # A process that only pushes lists.
            self.reply("K", {"implementation": sys.implementation.name})
            return
        if config["system"] == "inspect":
            self.inspect(config)
            return
        if config["system"] == "provision":
            self.provision(config)
            return
        flash = slots = None
        if config.get("flash"):
            flash = FileFlash(config["flash"], config.get("flash_size", 0))
        if config.get("slots"):
            slots = FileFlash(config["slots"], config["slots_size"])
        if self.meter is None:
            if slots is not None and not config.get("format"):
                self.start_up(config, flash, slots)
            load_firmware()
        from board import Board

        from ams.meter import Meter
        from amsbench.aggregate import Aggregate

        closed = config.get("relay_closed", True)
        self.board = Board(self.link, flash, slots, self.started, closed)
        self.board.clock.set(config["utc_ms"])
        self.meter = Meter(self.board, config)
        self.aggregate = Aggregate()
        self.meter.on_measured = self.aggregate.add
        self.nv_memory = self.meter.nv_memory
        self.transformers = self.meter.energy.transformers
        self.meter_link = getattr(self.meter, "link", None)
        self.channels = 2 * len(self.meter.calibration.voltages)
        # The start itself may end an interval that was open when the power went.
        entries = self.meter.recorder.load_profile.number
        events = self.nv_memory.event_numbers()
        self.meter.start(config["utc_ms"])
        if config.get("han_open"):
            self.meter.han_settings.open_first()
        self.bus = None
        if config.get("mbus"):
            self.bus = self.board.join_mbus()
            self.meter.model.join_submeters(self.bus, self.board.log)
        if self.meter.modbus:
            self.board.join_modbus(self.meter.modbus)
            if config.get("modbus_open"):
                self.meter.modbus.open_first()
        if self.meter.home:
            from drivers.tcp import Dialler

            self.meter.home.network = Dialler()
            if config.get("home_open"):
                self.meter.home.open_first()
        if config.get("display"):
            from drivers import screens

            screens.join(self.meter, config["display"], self.board.make_display_bus, self.board.log)
        slot = self.started.slot if self.started is not None else 0
        answer = {"implementation": sys.implementation.name, "slot": slot}
        answer.update({"entries": entries, "events": events})
        self.reply("K", answer)

    def inspect(self, config):
        """Only reads what a state image holds."""
        from ams.metrology.transformers import Transformers
        from ams.registers.nv_memory import NvMemory
        from ams.storage.snapshot import Snapshot, SnapshotError

        flash = FileFlash(config["flash"], config["flash_size"])
        self.nv_memory = NvMemory(flash, "")
        self.nv_memory.mount_rings()
        found = self.nv_memory.found
        try:
            stored = Snapshot(flash).load() or {}
            self.transformers = Transformers(stored.get("transformers"))
        except (SnapshotError, ValueError) as error:
            self.transformers = Transformers()
            found.append("%s: values are shown as they are stored" % error)
        self.reply("K", {"implementation": sys.implementation.name, "found": found})

    def provision(self, config):
        """Writes settings into a state image: what a meter is before it is first switched on."""
        from ams.storage.snapshot import Snapshot

        snapshot = Snapshot(FileFlash(config["flash"], config["flash_size"]))
        stored = snapshot.load() or {}
        meter_id = config["settings"]["meter_id"]
        if stored.get("meter_id", meter_id) != meter_id:
            raise ValueError("state image is that of meter %s" % stored["meter_id"])
        settings = dict(stored)
        settings.update(config["settings"])
        if settings != stored:
            snapshot.save(settings)
        self.reply("K", {"implementation": sys.implementation.name})

    def take_samples(self, length):
        head = self.samples_head
        self.link.read_into(head)
        utc_ms, index, count = struct.unpack("<qqH", head)
        if count * self.channels * 4 != length - 18 or count * self.channels > SAMPLES_MAX:
            raise ValueError("samples message of a wrong size")
        self.link.read_into(_octets(self.samples_view[: count * self.channels]))
        self.board.clock.set(utc_ms)
        if not self.board.relay.contact:
            self.interrupt(count)
        self.meter.samples(utc_ms, index, self.samples, count)
        self.poll_link()

    def interrupt(self, count):
        """Behind an open breaker nothing flows: the codes of the currents are their zeros."""
        zeros = [channel.offset for channel in self.meter.calibration.currents]
        samples = self.samples
        for at in range(1, count * self.channels, 2):
            samples[at] = zeros[(at % self.channels) >> 1]

    def hold(self, length):
        """One row of quantities or some, one after the other."""
        from amsbench.hold import hold

        if length > len(self.row_data) or length % ROW_SIZE:
            raise ValueError("rows message of a wrong size")
        self.link.read_into(self.row_data[:length])
        meter = self.meter
        clock = self.board.clock
        for at in range(0, length, ROW_SIZE):
            row = self.row = struct.unpack_from(ROW, self.row_data, at)
            hold(meter, row[0], row[1], clock, self.fill)
            self.poll_link()

    def fill(self, connected):
        """The quantities of a row; behind an open breaker nothing flows."""
        row = self.row
        q = self.meter.quantities
        flows = 1 if connected else 0
        for place in range(3):
            q.voltage_mv[place] = row[2 + place]
            q.current_ua[place] = row[5 + place] * flows
            p = q.active_power_mw[place] = row[8 + place] * flows
            r = q.reactive_power_mvar[place] = row[11 + place] * flows
            s = max(abs(p), abs(r), row[2 + place] * (row[5 + place] * flows // 1000) // 1000)
            q.apparent_power_mva[place] = s
            q.power_factor_permille[place] = 1000 * p // s if s else 0
        q.total_active_power_mw = row[14] * flows
        q.total_reactive_power_mvar = row[15] * flows
        q.total_apparent_power_mva = max(
            abs(row[14]) * flows, sum(q.apparent_power_mva) if q.system != "3P3W" else 0
        )
        q.frequency_mhz = row[16]

    def tick(self, length):
        utc_ms = struct.unpack("<q", self.link.payload(length))[0]
        self.board.clock.set(utc_ms)
        self.meter.tick(utc_ms)
        self.poll_link()

    def poll_link(self):
        if self.meter_link:
            self.meter_link.poll(ticks_ms())
        meter = self.meter
        if meter.display is not None:
            meter.display.poll(meter.raw_ms, meter.case.pressed)
        if self.bus:
            # Ticks wrap; whoever is on the bus has the time of the wall.
            now = ticks_ms()
            self.bus_ms += (now - self.bus_ticks) & 0x3FFFFFFF
            self.bus_ticks = now
            self.meter.model.submeters.poll(self.bus_ms)
        if self.meter.home:
            self.meter.home.poll(ticks_ms())
        modbus = self.meter.modbus
        if modbus:
            # As long as requests wait: the next message may be long in coming.
            while modbus.poll(ticks_ms(), ticks_us()):
                pass

    def open_han(self, length):
        self.link.payload(length)
        self.meter.han.open(self.meter.utc_ms)
        self.meter.wake()

    def close_han(self, length):
        self.link.payload(length)
        self.meter.han.close(self.meter.utc_ms)

    def link_message(self, length):
        """A client of the service port or of TCP: a channel opens, speaks or closes."""
        self.link.read_into(self.link_head)
        channel, kind = self.link_head[0], self.link_head[1]
        length -= 2
        if channel == MBUS_CHANNEL:
            heard = self.link.payload(length)
            if self.bus:
                self.bus.hear(heard)
            return
        if channel > LINK_CHANNEL_MOST:
            if self.board.hear_modbus(channel, kind, self.link.payload(length)):
                self.poll_link()
            return
        link = self.meter_link
        while length:
            piece = self.link_data[: min(length, LINK_PIECE)]
            self.link.read_into(piece)
            length -= len(piece)
            if link:
                link.feed(channel, piece, ticks_ms())
        if kind == LINK_OPENED:
            if link:
                link.opened(channel)
            else:
                self.board.link_close(channel)
        elif kind == LINK_CONNECTED:
            if link:
                link.connected(channel)
        elif kind != LINK_DATA:
            if link:
                link.closed(channel)
            self.board.link_closed(channel)

    def more_numbers(self, length):
        """A range of invocation counters that the meter has asked for."""
        first, count = struct.unpack("<II", self.link.payload(length))
        if self.meter_link:
            try:
                self.meter_link.keyring.numbers.extend(first, count)
            except OSError as error:
                self.board.log("numbers: %r" % error)

    def operate(self, length):
        """What the grid operator, or somebody at the case, does."""
        import amsbench

        order = json.loads(bytes(self.link.payload(length)).decode())
        if "relay" in order:
            self.board.relay.fault = order["relay"]
        if "button" in order:
            self.board.inputs.press(order["button"])
            self.meter.wake()
        if "display_bus" in order and self.board.display_bus is not None:
            self.board.display_bus.silent = not order["display_bus"]
        amsbench.operate(self.meter, order, order["raw_ms"])

    def rows(self, length):
        """The entries of a profile or event log between two times."""
        import profile_rows

        request = json.loads(bytes(self.link.payload(length)).decode())
        for row in profile_rows.rows(self.nv_memory, request, self.transformers):
            self.reply("n", row)
        self.reply("x", self.nv_memory.found)

    def view(self, length):
        """What the live view shows."""
        import amsbench

        self.link.payload(length)
        self.reply("V", amsbench.snapshot(self.meter))

    def push(self, length):
        import push_request

        request = json.loads(bytes(self.link.payload(length)).decode())
        try:
            frame = push_request.handle(request)
        except (ValueError, KeyError, IndexError, OverflowError) as error:
            # IndexError: more than the longest list of this format.
            self.link.send(ord("p"), str(error).encode())
            return
        self.link.send(ord("P"), frame)

    def finish(self, length):
        self.link.payload(length)
        self.meter.metrology.flush()
        self.reply("X", self.result())

    def stop(self, length):
        self.link.payload(length)
        self.running = False
        if self.meter is None:
            self.reply("X", {})
            return
        self.meter.stop()
        self.reply("X", self.result())

    def result(self):
        import amsbench

        gc.collect()
        result = amsbench.result(self.meter, self.aggregate)
        for event in amsbench.events(self.meter):
            self.reply("N", event)
        return result

    def reply(self, kind, value):
        self.link.send(ord(kind), self.answer.take(value))


def _octets(view):
    """A memoryview of 32-bit integers as octets: the VMs differ here."""
    if hasattr(view, "cast"):
        return view.cast("B")
    import uctypes

    return uctypes.bytearray_at(uctypes.addressof(view), 4 * len(view))


def main():
    process = Process()
    try:
        process.run()
    except LinkClosed:
        return 1
    except Exception as error:
        # The one place that catches all: the bench is told why, in one line.
        text = "%s: %s" % (type(error).__name__, error)
        started = process.started
        # Of code that was confirmed the start has to go through, no more.
        if started is not None and started.slot and (started.trial or process.meter is None):
            process.link.send(ord("L"), ("start-up: slot %d: " % started.slot + text).encode())
            return FAILED
        process.link.send(ord("E"), text.encode())
        if hasattr(sys, "print_exception"):
            sys.print_exception(error, sys.stderr)
        else:
            import traceback

            traceback.print_exc()
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
