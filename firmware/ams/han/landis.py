"""Landis+Gyr E450 and E360 of Switzerland and Austria (DLMS push, see push.py).

Sources: the E450's consumer information interface (CII) as Swiss and Austrian operators
describe it, the VSE's list of 2026, and what meters sent. Variants:

`ch`             E450, Regionalwerke Baden and others: the list of objects goes with it.
`ch-e360`        E360, the VSE's list.
`at`             E450, Energienetze Steiermark: pairs of code and value; encrypted there.
`at-burgenland`  E450, Netz Burgenland: values alone; encrypted there.
"""

from ams.han.push_lists import PHASES, Push

_GBT = "gbt ceff0313 119 122"
_8N1 = (9600, 8, None, 1)


class Landis(Push):
    name = "landis"
    variants = ("ch", "ch-e360", "at", "at-burgenland")
    no_angle = 400

    def manner(self, variant):
        if variant == "ch":
            return ((2400, 8, 0, 1), ((5000, 2),), _GBT, "tw", "o", "0.0.96.1.0=+8",
                    "0-8:25.9.0 0-8:25.9.0#1 0-0:96.1.0 1.7.0 2.7.0 1-1:1.8.0 1-1:2.8.0 1-1:5.8.0 "
                    "1-1:6.8.0 1-1:7.8.0 1-1:8.8.0 31.7.0 51.7.0 71.7.0", None)  # fmt: skip
        if variant == "ch-e360":
            return (_8N1, ((10000, 2),), "hdlc cf0313 512", "tds", "o", "0.0.42.0.0=LGZ1030+9",
                    "0-6:25.9.0 0-0:42.0.0 1-1:1.8.0 1-1:2.8.0 1-1:3.8.0 1-1:4.8.0 1.7.0 2.7.0 "
                    + PHASES, None)  # fmt: skip
        if variant == "at":
            return (_8N1, ((10000, 2),), _GBT, "t", "p", "",
                    ".0-0:1.0.0 1.8.0 1.8.1 1.8.2 1.7.0 2.8.0 2.8.1 2.8.2 2.7.0 "
                    "3.8.0 3.8.1 3.8.2 3.7.0 4.8.0 4.8.1 4.8.2 4.7.0", None)  # fmt: skip
        return (_8N1, ((5000, 2),), "hdlc ceff0313 512", "tw", "v", "0.0.96.1.0=+8",
                PHASES + " 1.7.0 2.7.0 1.8.0 2.8.0 81.7.40 81.7.51 81.7.62 0-0:96.1.0",
                None)  # fmt: skip
