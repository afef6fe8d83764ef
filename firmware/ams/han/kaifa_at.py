"""Kaifa MA110 and MA309 of Austria (DLMS push, see push.py).

Sources: Netz NOE's and Salzburg Netz's descriptions of the customer interface, and what meters
sent. Variants, both encrypted there, without authentication:

`at`           Netz NOE and others.
`at-salzburg`  Salzburg Netz.
"""

from ams.han.push_lists import AUSTRIA, PHASES, Push


class KaifaAt(Push):
    name = "kaifa"
    variants = ("at", "at-salzburg")

    def manner(self, variant):
        if variant == "at":
            return AUSTRIA
        numbers = "0.0.96.1.0=1KFM+10 0.0.42.0.0=KFM12+11"
        listed = "/0-0:1.0.0 0-0:96.1.0 0-0:42.0.0 " + PHASES
        listed += " 1.7.0 2.7.0 1.8.0 2.8.0 3.8.0 4.8.0"
        return AUSTRIA[:3] + ("tdszc1", "s", numbers, listed, None)
