"""What a board must provide. Interfaces only: no room imports hardware.

A board object has these attributes (see boards/). What a board lacks is None:

`clock`         `utc_ms()` now, in ms since 2000-01-01T00:00:00Z. It may have `backup_s`, for
                how long it goes on without supply (0: it lost the time), and
                `keep(offset_ms)`: the true time is `utc_ms()` plus that; keep it so. Where a
                chip is behind it, `fault` is one of CHIP_ below or 0, and `recovered_ms` what
                the true time is less `utc_ms()` if it answered only after power-up, or None.
`frontend`      what measures: a sampler (`FrontEnd`) or a metering IC (`MeteringIc`).
`han_uart`      where the HAN port writes; see `Uart`.
`service_uart`  the service port; see `Uart`.
`flash`         the block device of the meter's state; see `Flash`.
`slots`         a `Flash` of its own for two firmware images, or absent: then there is no update.
`name`          of the kind of board, as images name it; `restart()` starts it anew at once.
`started`       what the start-up chose (amsboot.choice.Start), or absent.
`relay`         the breaker; see `Relay`.
`inputs`        contacts of the case and the supply; see `Inputs`.
`watchdog`      see `Watchdog`.
`pulse_led`     the test output, 1000 pulses per kWh; see `PulseLed`.
`network`       a listener for DLMS over TCP; see `Network`.
`wlan`          a radio; see `Wlan`. Absent: there is none.
`unique_id`     bytes that no other chip of this kind has.
`entropy(n)`    n random bytes of a cryptographically secure generator.
`log(text)`     a line for the person at the console; never secrets.
"""

from micropython import const

# Bits of `Inputs.read()`: 1 is what the meter has to react to.
INPUT_TERMINAL_COVER = const(0x01)  # terminal cover is off
INPUT_METER_COVER = const(0x02)  # case is open
INPUT_MAGNETIC_FIELD = const(0x04)
INPUT_BUTTON = const(0x08)  # pressed
INPUT_POWER_FAIL = const(0x10)  # supply is falling; some milliseconds are left

# What may be wrong with a clock chip.
CHIP_SILENT = const(1)  # it does not answer
CHIP_NO_TIME = const(2)  # what it shows is no time, or it says that it stood still
CHIP_STANDS = const(3)  # its second does not end
CHIP_JUMPED = const(4)  # it is off by more than a crystal can be

# What may be wrong with a front end.
FRONT_NO_ANSWER = const(1)  # its chip does not answer
FRONT_SILENT = const(2)  # nothing comes
FRONT_SPOILT = const(3)  # what comes is spoilt on its way
FRONT_RESET = const(4)  # its chip was reset
FRONT_SETTINGS = const(5)  # its chip has lost what it was set to
FRONT_RATE = const(6)  # it samples at another rate, or samples are lost

# Coils of a bistable relay.
COIL_NONE = const(0)
COIL_OPEN = const(1)
COIL_CLOSE = const(2)


class NotTrusted(Exception):
    """Who is at the other end of a connection could not show who it is."""


class Uart:
    """A serial line. The HAN port only ever sends; the service port does both."""

    def init(self, baudrate, bits, parity, stop):
        """Sets the line: parity None, 0 (even) or 1 (odd), as machine.UART."""
        raise NotImplementedError

    def write(self, data):
        """Queues a frame (bytes-like) for sending, whole or not at all; returns without waiting.

        False: there is no room for it now. A service port's takes `room` octets when it is idle.
        """
        raise NotImplementedError

    def idle(self):
        """Whether all that was written has left the line."""
        raise NotImplementedError

    def readinto(self, buffer):
        """Fills `buffer` with what waits; gives how many octets, 0 or None when none."""
        raise NotImplementedError

    def held(self):
        """Whether what comes in stands at space at this moment; None: that is not known."""
        return None


class FrontEnd:
    """A sampler of interleaved signed samples, 24 bit at the most.

    `sample_rate_hz`, `channels`, `full_scale` (largest code) describe it. `own_chip`: a converter
    with a clock of its own, which is set up anew when it fails; `behind` sets then wait behind
    those that were read.
    """

    sample_rate_hz = 4000
    channels = 0
    full_scale = 0x7FFFFF
    own_chip = False
    behind = 0
    fault = 0  # one of FRONT_, until it has been well for some time


class MeteringIc:
    """An IC that measures by itself: quantities and counted energy are read from it."""

    # How often it is to be read; its registers must not overflow in between.
    period_ms = 200
    # Which way active power flows: its energy is counted in lumps, and most polls have none.
    exporting = False
    # Since the last poll, as who polls knows it (0: not at all): what cannot have been counted
    # in that time was not.
    elapsed_ms = 0

    def poll(self, quantities):
        """Fills `quantities` and gives True; False when the IC did not answer.

        What it counted since the last poll stands in `active_uws` and
        `reactive_uvars` (micro-watt-seconds, signed, net), each counted once.
        `status` has the STATUS_ bits it knows of: STATUS_SAMPLES_MISSING says, once,
        that it lost what it had counted.
        """
        raise NotImplementedError


class Flash:
    """Raw NOR flash: erase to ones by sector, program clears bits by page.

    May have `blank(address, size)`: whether so many octets are ones, faster than by reading.
    """

    size = 0
    sector_size = 4096
    page_size = 256

    def read(self, address, buffer):
        raise NotImplementedError

    def program(self, address, data):
        raise NotImplementedError

    def erase(self, address):
        raise NotImplementedError


class Relay:
    """A bistable relay: two coils, and a contact that tells where it stands."""

    def set_coil(self, coil):
        """Puts current on `COIL_OPEN` or `COIL_CLOSE`, never on both, or on none.

        How long is the caller's to keep: a coil burns when it is left on.
        """
        raise NotImplementedError

    def closed(self):
        """Where the feedback contact says it stands: True, False, or None if there is none."""
        raise NotImplementedError

    def load_voltage(self):
        """Whether there is voltage behind it: True, False, or None if that is not measured."""
        return None


class Inputs:
    def read(self):
        """The `INPUT_` bits as they are now, not debounced."""
        raise NotImplementedError


class Watchdog:
    """Resets the chip when it is not fed in time (`timeout_ms`)."""

    timeout_ms = 8000

    def feed(self):
        raise NotImplementedError


class Screen:
    """What a display shows itself on; see ams.display. Its methods raise OSError when it does not
    answer, and take no longer than two milliseconds.

    `graphic`: 128 by 64 pixels in pages of eight rows (an octet is a column, its lowest bit on
    top), else two lines of 16 characters.
    """

    graphic = False

    def begin(self):
        """The next step of the set-up: gives ms until the one after it, None: it is set up."""
        raise NotImplementedError

    def restart(self):
        """The set-up begins anew."""
        raise NotImplementedError

    def write(self, row, column, octets):
        """Columns of a page, or characters of a line, from `column` on; 32 at the most."""
        raise NotImplementedError


class PulseLed:
    def set(self, on):
        raise NotImplementedError


class Network:
    """A TCP listener that never waits.

    A connection has `readinto(buffer)` (octets that came, None: none, 0: the peer
    is gone), `write(data)` (octets that went, None: all; raises OSError when the peer is
    gone), `close()`; it may have `address`, where it comes from.
    """

    def close(self):
        """Listens no more."""
        raise NotImplementedError

    def accept(self):
        """The next connection, or None. Raises OSError when there can be no more of them."""
        raise NotImplementedError

    def dial(self, destination, tls=None):
        """Begins to connect to "address:port". What it gives has `peer()`: the connection, None
        while it is not there, and `close()`. Both raise OSError, `dial` also ValueError.

        `tls`: (name, authority), what the certificate of the other end has to say and the one
        that has to have signed it (PEM or DER). A connection that finds another raises NotTrusted
        by its first `readinto` or `write`, and nothing was said on it.
        """
        raise NotImplementedError


class Datagrams:
    """A UDP port that never waits."""

    def receive(self, buffer):
        """(octets that came into `buffer`, their sender), or None."""
        raise NotImplementedError

    def send(self, data, to):
        """To a sender; what does not go at once is lost."""
        raise NotImplementedError

    def close(self):
        raise NotImplementedError


class Wlan(Network):
    """A radio: it joins a network, and can be one. `dial` and `listen` go by either."""

    point_address = "192.168.4.1"  # of the meter, in a network of its own

    def join(self, ssid, password):
        """Begins to; whoever was joined before is left. An empty password: an open network."""
        raise NotImplementedError

    def joined(self):
        raise NotImplementedError

    def open_point(self, ssid, password):
        """Becomes a network, WPA2. Raises OSError."""
        raise NotImplementedError

    def close_point(self):
        raise NotImplementedError

    def listen(self, port):
        """A Network that accepts. Raises OSError."""
        raise NotImplementedError

    def datagrams(self, port):
        """Raises OSError."""
        raise NotImplementedError

    def authority(self):
        """Octets of the certificate that `keep_authority` kept over a power cut, or b""."""
        return b""

    def keep_authority(self, octets):
        """Raises OSError."""
        raise NotImplementedError
