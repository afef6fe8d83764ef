"""The meter's list of COSEM objects, as constants: what there is, and who may do what with it.

A row names one object or a group: (class, A and B, every C, every D, every E,
view, argument, rights). The view is "module.Class" of ams.objects, the
rights a key of RIGHTS. docs/objects.md is made from this by tools/objects.py.

All of it is constant to the compiler, so that on a chip it stays in flash.
"""

from micropython import const

from ams.cosem.access import BREAKER, EVERYBODY, KEYED, NOBODY, OPERATOR, UPDATE, Rights

# Class, version, attributes, methods. Of every class there is, the server's too.
CLASSES = (
    (1, 0, 2, 0),
    (3, 0, 3, 1),
    (4, 0, 5, 1),
    (5, 0, 9, 2),
    (7, 1, 8, 2),
    (8, 0, 9, 6),
    (9, 0, 2, 1),
    (11, 0, 2, 2),
    (15, 1, 9, 4),
    (17, 0, 2, 1),
    (18, 0, 7, 4),
    (19, 1, 9, 0),
    (20, 0, 10, 1),
    (22, 0, 4, 0),
    (23, 1, 9, 0),
    (40, 0, 7, 1),
    (41, 0, 6, 0),
    (64, 1, 6, 8),
    (70, 0, 4, 2),
    (71, 0, 11, 0),
    (72, 0, 12, 8),
)

# Key, who reads, what is written, what is called. A letter says who (see _WHO), the hex digits
# behind it which attributes or methods.
RIGHTS = (
    ("all", "e", "", ""),
    ("read", "k", "", ""),
    ("load", "k", "o4", ""),
    ("clock", "e", "o2", "o123456"),
    ("value", "k", "o2", ""),
    ("breaker", "e", "b4", "b12"),
    ("limiter", "k", "b2456789b", ""),
    ("order", "k", "b2", ""),
    ("scripts", "k", "", "b1"),
    ("secret", "n", "o2", ""),
    ("calendar", "k", "o6789a", "o1"),
    ("days", "k", "o2", "o12"),
    ("push", "k", "o234567", "o1"),
    ("push script", "k", "", "o1"),
    ("push times", "k", "o4", ""),
    ("breaker times", "k", "b4", ""),
    ("hdlc", "k", "o23456789", ""),
    ("port", "k", "o24", ""),
    ("tcp", "k", "o6", ""),
    ("image", "k", "u25", "u1234"),
    ("mbus", "k", "o345", "o1234"),
    ("breaker key", "k", "b2", ""),
    ("update key", "k", "u2", ""),
    ("image script", "k", "", "u1"),
    ("image times", "k", "u4", ""),
)

_M = const(b"\x00\x00")  # 0-0: the meter
_E = const(b"\x01\x00")  # 1-0: electricity
_0 = const(b"\x00")
_LOGS = const(b"\x00\x01\x02\x03\x04\x05")

ROWS = (
    # Who it is
    (1, _M, b"\x2a", _0, _0, "data.Text", "device_name", "all"),
    (1, _M, b"\x60", b"\x01", _0, "data.Text", "serial", "read"),
    (1, _M, b"\x60", b"\x01", b"\x01", "data.Text", "meter_type", "read"),
    (1, _E, _0, b"\x02", _0, "data.Text", "firmware", "read"),
    (1, _E, _0, b"\x02", b"\x08", "data.Text", "signature", "read"),
    # Time
    (8, _M, b"\x01", _0, _0, "clock.Clock", None, "clock"),
    # Energy
    (3, _E, b"\x01\x02\x03\x04\x05\x06\x07\x08", b"\x08", _0, "register.Energy", None, "read"),
    (3, _E, b"\x01\x02", b"\x08", b"\x01\x02\x03\x04", "register.Energy", None, "read"),
    (3, _E, b"\x01\x02\x03\x04\x05\x06\x07\x08", b"\x1d", _0, "register.Interval", None, "read"),
    (4, _E, b"\x01\x02", b"\x06\x10", b"\x00\x80\x81\x82", "register.MaximumDemand", None, "read"),
    (5, _E, b"\x01\x02", b"\x04\x0e", _0, "register.Demand", None, "read"),
    (3, _E, _0, b"\x08", b"\x00\x01\x04", "register.Averaging", None, "read"),
    (1, _E, _0, b"\x01", b"\x00\x02", "data.Period", None, "read"),
    # Points behind transformers
    (1, _E, _0, b"\x04", b"\x02\x03\x04\x05\x06\x07", "data.Ratio", None, "read"),
    # Quantities: the whole meter, then L1 (C 20 and more), L2 (40), L3 (60); the neutral (91)
    (3, _E, b"\x01\x02\x03\x04\x09\x0d\x0e", b"\x07", _0, "register.Instant", None, "read"),
    (
        3,
        _E,
        b"\x15\x16\x17\x18\x1d\x1f\x20\x21\x29\x2a\x2b\x2c\x31\x33\x34\x35\x3d\x3e\x3f\x40\x45\x47\x48\x49\x5b",
        b"\x07",
        _0,
        "register.Instant",
        None,
        "read",
    ),
    (3, _E, b"\x1f\x20\x33\x34\x47\x48", b"\x07", b"\x7c", "register.Instant", None, "read"),
    (
        3,
        _E,
        b"\x1f\x20\x33\x34\x47\x48",
        b"\x17\x19\x1a",
        _0,
        "register.VoltageValue",
        None,
        "read",
    ),
    # State
    (1, _M, b"\x60", b"\x0a", b"\x01\x02", "data.ProfileStatus", None, "read"),
    (1, _M, b"\x60", b"\x0b", _LOGS, "data.LastEvent", "code", "read"),
    (1, _M, b"\x60", b"\x0f", _LOGS, "data.LastEvent", "number", "read"),
    (1, _M, b"\x80", b"\x02\x03", _LOGS, "data.LastEvent", "more", "read"),
    (1, _M, b"\x61", b"\x61", _0, "data.ErrorRegister", None, "read"),
    (1, _M, b"\x61", b"\x62", _0, "data.AlarmRegister", None, "value"),
    (1, _M, b"\x61", b"\x62", b"\x0a", "data.AlarmFilter", None, "value"),
    # Breaker and limiter
    (70, _M, b"\x60", b"\x03", b"\x0a", "disconnect_control.DisconnectControl", None, "breaker"),
    (71, _M, b"\x11", _0, _0, "limiter_object.Limiter", None, "limiter"),
    (9, _M, b"\x0a", _0, b"\x6a", "disconnect_control.BreakerScripts", None, "scripts"),
    (1, _M, b"\x60", b"\x03", b"\x80", "disconnect_control.BreakerOrder", None, "order"),
    (1, _M, b"\x60", b"\x03", b"\x81", "limiter_object.QuotaSetup", None, "order"),
    (1, _M, b"\x60", b"\x03", b"\x82", "disconnect_control.BreakerPolicy", None, "read"),
    (1, _M, b"\x60", b"\x03", b"\x83", "limiter_object.LimiterWindow", None, "order"),
    (1, _M, b"\x60", b"\x03", b"\x84", "disconnect_control.BreakerAlarms", None, "read"),
    # The HAN port
    (1, _M, b"\x80", b"\x01", _0, "han_port.HanOpen", None, "value"),
    (1, _M, b"\x80", b"\x01", b"\x01", "han_port.HanEncryption", None, "value"),
    (1, _M, b"\x80", b"\x01", b"\x02", "han_port.HanKeys", None, "secret"),
    (1, _M, b"\x80", b"\x01", b"\x03", "han_port.HanFormat", None, "read"),
    (1, _M, b"\x80", b"\x01", b"\x04", "han_port.HanSent", None, "read"),
    (1, _M, b"\x80", b"\x01", b"\x05", "han_port.HanSummerTime", None, "value"),
    # The readout at the optical port
    (1, _M, b"\x80", b"\x06", _0, "readout_setup.ReadoutLevel", None, "value"),
    (1, _M, b"\x80", b"\x06", b"\x01", "readout_setup.ReadoutList", None, "read"),
    # The Modbus port
    (1, _M, b"\x80", b"\x08", _0, "port_open.PortOpen", "modbus", "value"),
    (1, _M, b"\x80", b"\x08", b"\x01", "modbus_setup.ModbusMaps", None, "read"),
    (1, _M, b"\x80", b"\x08", b"\x02", "modbus_setup.ModbusAnswers", None, "read"),
    # Home automation
    (1, _M, b"\x80", b"\x07", _0, "port_open.PortOpen", "home", "value"),
    (1, _M, b"\x80", b"\x07", b"\x01", "home_setup.HomeState", None, "read"),
    (1, _M, b"\x80", b"\x07", b"\x02", "home_setup.HomePublished", None, "read"),
    # Profiles
    (7, _E, b"\x63", b"\x01", _0, "profile_generic.Profile", "load", "load"),
    (7, _E, b"\x63", b"\x02", _0, "profile_generic.Profile", "daily", "read"),
    (7, _E, b"\x63", b"\x0e", _0, "profile_generic.Profile", "voltage", "read"),
    (7, _M, b"\x62", b"\x01", _0, "profile_generic.Profile", "monthly", "read"),
    (7, _M, b"\x63", b"\x62", _LOGS, "profile_generic.Profile", "events", "read"),
    # Calendar and schedules. Arguments that are numbers are cells (ams.storage.settings): a
    # constant of another module is none to the compiler.
    (20, _M, b"\x0d", _0, _0, "calendar.ActivityCalendar", 16, "calendar"),
    (11, _M, b"\x0b", _0, _0, "calendar.SpecialDays", 9, "days"),
    (9, _M, b"\x0a", _0, b"\x64", "calendar.TariffScripts", None, "read"),
    (1, _M, b"\x60", b"\x0e", _0, "data.Text", "tariff", "read"),
    (22, _M, b"\x0f", _0, _0, "schedule.Schedule", 64, "push times"),
    (22, _M, b"\x0f", _0, b"\x01", "schedule.Schedule", 65, "breaker times"),
    (22, _M, b"\x0f", _0, b"\x02", "schedule.Schedule", 66, "image times"),
    (22, _M, b"\x0f", _0, b"\x04", "schedule.Schedule", 68, "push times"),
    (22, _M, b"\x0f", _0, b"\x05", "schedule.Schedule", 69, "breaker times"),
    (9, _M, b"\x0a", _0, b"\x01", "schedule.Scripts", "BILLING", "push script"),
    (9, _M, b"\x0a", _0, b"\x6b", "schedule.Scripts", "IMAGE", "image script"),
    (9, _M, b"\x0a", _0, b"\x6c", "schedule.Scripts", "PUSH", "push script"),
    # What it sends, and how
    (40, b"\x00\x00", b"\x19", b"\x09", _0, "push_setup.PushSetup", 32, "push"),
    (40, b"\x00\x04", b"\x19", b"\x09", _0, "push_setup.PushSetup", 40, "push"),
    (19, _M, b"\x14", _0, _0, "link_setup.LocalPort", None, "port"),
    (23, _M, b"\x16", _0, _0, "link_setup.HdlcSetup", None, "hdlc"),
    (41, _M, b"\x19", _0, _0, "link_setup.TcpSetup", None, "tcp"),
    # Sub-meters: B is the channel
    (72, b"\x00\x01", b"\x18", b"\x01", _0, "mbus.Channel", None, "mbus"),
    (72, b"\x00\x02", b"\x18", b"\x01", _0, "mbus.Channel", None, "mbus"),
    (72, b"\x00\x03", b"\x18", b"\x01", _0, "mbus.Channel", None, "mbus"),
    (72, b"\x00\x04", b"\x18", b"\x01", _0, "mbus.Channel", None, "mbus"),
    (4, b"\x00\x01", b"\x18", b"\x02", b"\x01\x02\x03\x04", "mbus.Value", None, "read"),
    (4, b"\x00\x02", b"\x18", b"\x02", b"\x01\x02\x03\x04", "mbus.Value", None, "read"),
    (4, b"\x00\x03", b"\x18", b"\x02", b"\x01\x02\x03\x04", "mbus.Value", None, "read"),
    (4, b"\x00\x04", b"\x18", b"\x02", b"\x01\x02\x03\x04", "mbus.Value", None, "read"),
    # Keys that open no association
    (1, _M, b"\x80", b"\x05", b"\x00\x01", "secrets.Secret", None, "breaker key"),
    (1, _M, b"\x80", b"\x05", b"\x02", "secrets.Secret", None, "update key"),
    (1, _M, b"\x80", b"\x05", b"\x03", "secrets.Secret", None, "read"),
    # Firmware
    (18, _M, b"\x2c", _0, _0, "image_transfer.ImageTransfer", None, "image"),
    (1, _M, b"\x80", b"\x04", _0, "image_transfer.FirmwareState", None, "read"),
)

_WHO = const("eknobu")
_MASKS = (EVERYBODY, KEYED, NOBODY, OPERATOR, BREAKER, UPDATE)


def _mask(letter):
    return _MASKS[_WHO.index(letter)]


def _table(text):
    """{attribute or method: mask}."""
    return {int(digit, 16): _mask(text[0]) for digit in text[1:]}


def rights(key):
    """The Rights of a key of RIGHTS."""
    for known, reads, writes, calls in RIGHTS:
        if known == key:
            return Rights(_mask(reads), _table(writes), _table(calls))
    raise ValueError(key)


def class_of(class_id):
    """(version, attributes, methods) of a class."""
    for row in CLASSES:
        if row[0] == class_id:
            return row[1:]
    raise ValueError(class_id)


def absent_phases(quantities):
    """The C of registers that a meter does not have by its system, or its front end."""
    out = []
    if quantities.system == "1P2W":
        out += range(41, 80)
    if quantities.neutral_current_ua is None:
        out.append(91)
    return bytes(out)


def has(row, ln):
    """Whether a logical name is one of a row's."""
    return (
        ln[5] == 255
        and ln[2] in row[2]
        and ln[3] in row[3]
        and ln[4] in row[4]
        and ln[0] == row[1][0]
        and ln[1] == row[1][1]
    )


def names(row):
    """Yields the logical names of a row."""
    for c in row[2]:
        for d in row[3]:
            for e in row[4]:
                yield bytes((row[1][0], row[1][1], c, d, e, 255))
