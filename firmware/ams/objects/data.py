"""Data (class 1): who the meter is, and what state it is in."""

from ams.cosem.axdr import UINT32
from ams.objects.view import Data
from ams.results import READ_WRITE_DENIED, AccessError

# FLAG-like prefix of the logical device name.
MAKER = b"OAM"


def device_name(meter_id):
    """Sixteen octets: the maker and the last thirteen digits of the meter's number."""
    digits = meter_id.encode()[-13:]
    return MAKER + b"0" * (13 - len(digits)) + digits


class Text(Data):
    """An octet-string; `argument` names which."""

    def value(self, out):
        out.octets(getattr(self, self.argument)())

    def device_name(self):
        return device_name(self.meter.identity.meter_id)

    def serial(self):
        return self.meter.identity.meter_id.encode()

    def meter_type(self):
        return self.meter.identity.meter_type.encode()

    def firmware(self):
        import ams

        return ams.__version__.encode()

    def signature(self):
        """What the running firmware was signed with; empty where nobody checked it."""
        return getattr(self.meter, "firmware_signature", None) or b""

    def tariff(self):
        from ams.objects.calendar import tariff_now

        return b"%d" % tariff_now(self.model)


class Period(Data):
    """1-0:0.1.0: how many billing periods have ended; 0.1.2: when the last did."""

    def value(self, out):
        ended_ms = self.model.last_period_ms()
        if not self.ln[4]:
            out.uint32(self.meter.energy.highest.periods)
        elif ended_ms is None:
            out.octets(b"\xff" * 12)
        else:
            out.octets(self.model.stamp.of(ended_ms))


class Ratio(Data):
    """1-0:0.4.E: of current (2), voltage (3) and both (4), primary; 5 to 7 secondary."""

    def value(self, out):
        t = self.model.transformers
        place = self.ln[4] - 2
        out.uint32((t.ct, t.vt, t.overall)[place % 3][place // 3])


class ProfileStatus(Data):
    """Marks of the open interval of the load profile, or (E = 2) of the voltage profile."""

    def value(self, out):
        recorder = self.meter.recorder
        out.uint16(recorder.voltage.status if self.ln[4] == 2 else recorder.load_profile.status)


class LastEvent(Data):
    """Of log E: what its newest event is, its number, and (0-0:128.2, 128.3) what it says more."""

    def value(self, out):
        # number, utc_ms, code, detail, extra
        event = self.model.last_event(self.ln[4])
        if self.argument == "code":
            out.uint8(event[2])
        elif self.argument == "number":
            out.uint32(event[0])
        elif self.ln[3] == 2:
            out.int32(event[3])
        else:
            out.uint32(event[4])


class ErrorRegister(Data):
    """What is wrong with the meter now: bits of `ams.objects.alarms`."""

    def value(self, out):
        out.uint32(self.model.alarms.errors())


class AlarmRegister(Data):
    """What happened since it was cleared. A written bit that is 0 clears, 1 changes nothing."""

    def value(self, out):
        out.uint32(self.model.alarms.register)

    def set(self, attribute, data, who):
        if attribute != 2:
            raise AccessError(READ_WRITE_DENIED)
        kept = data.integer(UINT32)
        data.end()
        self.model.alarms.clear(~kept & 0xFFFFFFFF)


class AlarmFilter(Data):
    """Which alarms count, and are pushed."""

    def value(self, out):
        out.uint32(self.model.alarms.filter)

    def set(self, attribute, data, who):
        if attribute != 2:
            raise AccessError(READ_WRITE_DENIED)
        bits = data.integer(UINT32)
        data.end()
        self.model.alarms.set_filter(bits)
