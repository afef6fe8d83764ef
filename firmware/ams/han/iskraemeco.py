"""Iskraemeco AM550 and IE.5 (DLMS push, see push.py).

Sources: the operators' descriptions of the I1 and customer interface, and what meters sent.
Variants:

`si`        AM550, Elektro Ljubljana: values every 5 s, registers every quarter of an hour.
`si-celje`  AM550, Elektro Celje: values every second.
`ch`        AM550, the VSE's list of 2026: the list of objects goes with it.
`at`        AM550: code, value, scaler and unit.
`at-kelag`  AM550, Kaernten Netz: encrypted there, without authentication.
`hr`        IE.5, HEP.
"""

from ams.han.push_lists import PHASES, Push

_LINK = "hdlc cf022313 154"
_POWERS = "1.7.0 2.7.0 3.7.0 4.7.0 "
_NUMBERS = "0.0.42.0.0=ISK1030+9 0.0.96.1.0=+8"
_P1 = (115200, 8, None, 1)


class Iskraemeco(Push):
    name = "iskraemeco"
    variants = ("si", "si-celje", "ch", "at", "at-kelag", "hr")
    idle_factor = 0

    def manner(self, variant):
        if variant == "si":
            return (_P1, ((5000, 2), (900000, 3)), _LINK, "tdsz", "v", _NUMBERS,
                    "0-0:42.0.0 0-0:96.1.3 " + _POWERS + PHASES
                    + " 21.7.0 41.7.0 61.7.0 22.7.0 42.7.0 62.7.0",
                    "0-0:42.0.0 0-0:96.1.3 0-0:96.3.10#3 0-0:96.14.0 1.8.0 1.8.1 1.8.2 2.8.0 "
                    "2.8.1 2.8.2 3.8.0 4.8.0")  # fmt: skip
        if variant == "si-celje":
            return (_P1, ((1000, 2),), _LINK, "tdsz", "v", _NUMBERS,
                    "0-0:42.0.0 0-0:96.1.2 " + PHASES + " " + _POWERS, None)  # fmt: skip
        if variant == "ch":
            return ((2400, 8, 0, 1), ((10000, 2),), _LINK, "tdsz", "o", _NUMBERS,
                    "0-6:25.9.0 0-0:42.0.0 1-1:1.8.0 1-1:2.8.0 1-1:3.8.0 1-1:4.8.0 1-1:1.7.0 "
                    "1-1:2.7.0 " + PHASES, None)  # fmt: skip
        if variant == "at":
            return (_P1, ((10000, 2),), _LINK, "tdsz", "s", _NUMBERS,
                    "0-0:96.1.0 0-0:96.1.1 1.7.0 2.7.0 1.8.0 2.8.0 " + PHASES
                    + " 1.8.1 1.8.2 2.8.1 2.8.2", None)  # fmt: skip
        if variant == "at-kelag":
            return (_P1, ((1000, 2),), _LINK, "tdszc", "v", "0.0.96.1.0=+13",
                    "0-6:25.9.0#1 0-0:96.1.0 0.9.1 0.9.2 1.8.0 2.8.0 3.8.0 4.8.0 1.7.0 2.7.0 "
                    "0-0:96.13.0 0-0:96.13.1", None)  # fmt: skip
        return (_P1, ((10000, 2),), _LINK, "tdsz", "v", _NUMBERS,
                "0-0:96.1.0 0.9.1 0.9.2 1.8.0 1.8.1 1.8.2 2.8.0 2.8.1 2.8.2 5.8.0 6.8.0 7.8.0 "
                "8.8.0 1.7.0 2.7.0 13.7.0 21.7.0 41.7.0 61.7.0 22.7.0 42.7.0 62.7.0 " + PHASES
                + " 0-0:17.0.0 0-0:31.0.0 0-0:31.0.1 0-0:31.0.2 0-0:96.3.10#2",
                None)  # fmt: skip
