"""The metering IC that a meter's settings name: `front_end` is a module of this folder.

Such a module has

    SYSTEMS                       what it measures: of "1P2W", "3P3W", "3P4W"
    SPI_HZ, SPI_POLARITY, SPI_PHASE
    default_calibration(system)   the record of a board as it is wired in docs/boards
    make(spi, select, calibration, wait_ms, **options)
                                  a hal.MeteringIc with `begin()`: False when nothing answers;
                                  `options` are those of IC_OPTIONS in the board's board.py

What may be named on a board is in its pins.yaml (`drivers`). docs/boards/metering-ic.md.
"""


def load(name):
    """The module of a driver. Raises ValueError when there is none of that name."""
    try:
        module = __import__("drivers." + name, None, None, ("make",))
        return module, module.SYSTEMS
    except (ImportError, AttributeError):
        raise ValueError("front_end %s: there is no driver of a metering IC of that name" % name)


def make(name, calibration, spi, select, wait_ms, options):
    """The driver of the IC `name`, not yet begun. `spi` makes the bus:
    spi(baudrate=, polarity=, phase=). Raises ValueError, in one line."""
    module, systems = load(name)
    if calibration.system not in systems:
        raise ValueError("front_end %s measures %s" % (name, ", ".join(systems)))
    bus = spi(baudrate=module.SPI_HZ, polarity=module.SPI_POLARITY, phase=module.SPI_PHASE)
    return module.make(bus, select, calibration, wait_ms, **options)
