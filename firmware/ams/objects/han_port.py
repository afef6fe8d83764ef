"""The HAN port, as the operator sets it: open or closed, encrypted or not, under which key, with
summer time or without.

Manufacturer specific: 0-0:128.1.E. The keys come wrapped by the meter's master
key (RFC 3394), and are never read.
"""

from ams.cosem.axdr import BOOLEAN
from ams.objects.view import Data
from ams.results import OTHER_REASON, READ_WRITE_DENIED, TEMPORARY_FAILURE, AccessError

_WRAPPED = 24


class HanOpen(Data):
    def value(self, out):
        out.boolean(self.meter.han.is_open)

    def set(self, attribute, data, who):
        is_open = data.integer(BOOLEAN) != 0
        data.end()
        self.meter.han_settings.set_open(is_open)


class HanEncryption(Data):
    """Cannot be switched on before there are keys."""

    def value(self, out):
        out.boolean(self.meter.han_settings.encrypted)

    def set(self, attribute, data, who):
        on = data.integer(BOOLEAN) != 0
        data.end()
        if not self.meter.han_settings.set_encrypted(on):
            raise AccessError(TEMPORARY_FAILURE)


class HanKeys(Data):
    """Written: two wrapped keys, encryption and authentication (48 octets)."""

    def set(self, attribute, data, who):
        wrapped = bytes(data.octets())
        data.end()
        link = self.meter.link
        if link is None or self.session is None:
            raise AccessError(READ_WRITE_DENIED)
        kek = link.keyring.kek()
        if kek is None:
            raise AccessError(TEMPORARY_FAILURE)
        if len(wrapped) != 2 * _WRAPPED:
            raise AccessError(OTHER_REASON)
        from ams.cosem.security_setup import unwrapped

        keys = [
            unwrapped(link.server, self.session, kek, wrapped[at : at + _WRAPPED])
            for at in (0, _WRAPPED)
        ]
        if link.keyring.serves(keys[0], "han") or link.keyring.serves(keys[1], "han"):
            # One key, one title, two counters; and the customer gets these.
            raise AccessError(OTHER_REASON)
        self.meter.han_settings.rekey(keys[0], keys[1])


class HanFormat(Data):
    def value(self, out):
        out.visible(self.meter.han.format.name.encode())


class HanSummerTime(Data):
    """False: the lists' time is standard time all the year."""

    def value(self, out):
        out.boolean(self.meter.han.summer_time)

    def set(self, attribute, data, who):
        on = data.integer(BOOLEAN) != 0
        data.end()
        self.meter.han_settings.set_summer_time(on)


class HanSent(Data):
    """Lists sent since power-up."""

    def value(self, out):
        out.uint32(sum(self.meter.han.sent) & 0xFFFFFFFF)
