"""Sagemcom T210-D of Austria and XT211 of the Czech Republic (DLMS push, see push.py).

Sources: Netz NOE's description of the customer interface, EG.D's of the RS-485 output, and what
meters sent. Variants:

`at`  T210-D: M-Bus; encrypted there, without authentication.
`cz`  XT211 of EG.D: the notification alone, on RS-485.
"""

from ams.han.push_lists import AUSTRIA, Push


class Sagemcom(Push):
    name = "sagemcom"
    variants = ("at", "cz")

    def manner(self, variant):
        if variant == "at":
            return AUSTRIA
        return ((9600, 8, None, 1), ((60000, 2),), "none", "h", "a", "0.0.96.1.1=+10",
                "0-0:96.1.1 0-0:96.3.10#3 0-0:17.0.0#3 0-0:96.14.0 1.7.0 21.7.0 41.7.0 61.7.0 "
                "2.7.0 22.7.0 42.7.0 62.7.0 1.8.0 1.8.1 1.8.2 1.8.3 1.8.4 2.8.0", None)  # fmt: skip
