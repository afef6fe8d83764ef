"""Disconnect control (class 70), its script table (class 9), sealed orders and the policy.

What moves the supply is decided in `ams.control`; a refusal is answered with
read-write-denied and logged there with its reason.
"""

from micropython import const

from ams.control import supply
from ams.cosem.access import INTERNAL
from ams.cosem.axdr import ENUM, INT8, UINT16
from ams.objects.view import View
from ams.results import HARDWARE_FAULT, OTHER_REASON, READ_WRITE_DENIED, AccessError

DISCONNECT_LN = bytes((0, 0, 96, 3, 10, 255))
_SCRIPTS = const(2)


def answer(reason):
    """What the control room says as the result of a service."""
    if reason == supply.OK:
        return
    raise AccessError(HARDWARE_FAULT if reason == supply.NOT_STORED else READ_WRITE_DENIED)


class DisconnectControl(View):
    class_id = 70
    attributes = 4
    methods = 2

    def read(self, attribute, out):
        breaker = self.meter.control.breaker
        if attribute == 2:
            out.boolean(breaker.output_state)
        else:
            out.enum(breaker.state if attribute == 3 else breaker.mode)

    def set(self, attribute, data, who):
        mode = data.integer(ENUM)
        data.end()
        if attribute != 4 or mode >= supply.CONTROL_MODES:
            raise AccessError(OTHER_REASON)
        answer(self.meter.control.set_mode(mode, *self.asker()))

    def call(self, method, data, out, who):
        if data is None or data.integer(INT8):
            raise AccessError(OTHER_REASON)
        data.end()
        control = self.meter.control
        answer(control.remote(method == 2, *self.asker()))


class BreakerScripts(View):
    """1 disconnects, 2 reconnects: what the limiter calls, and schedules."""

    class_id = 9
    attributes = 2
    methods = 1

    def read(self, attribute, out):
        out.array(_SCRIPTS)
        for script in (1, 2):
            out.structure(2)
            out.uint16(script)
            out.array(1)
            out.structure(5)
            out.enum(2)  # a method
            out.uint16(70)
            out.octets(DISCONNECT_LN)
            out.int8(script)
            out.int8(0)

    def call(self, method, data, out, who):
        script = data.integer(UINT16) if data is not None else 0
        if script not in (1, 2):
            raise AccessError(OTHER_REASON)
        control = self.meter.control
        if who & INTERNAL:
            # A schedule is local: the mode says whether it may.
            answer(
                control.scheduled(
                    supply.LOCAL_RECONNECT if script == 2 else supply.LOCAL_DISCONNECT
                )
            )
        else:
            answer(control.remote(script == 2, *self.asker()))


class BreakerOrder(View):
    """Data 0.0.96.3.128: written, a sealed order to arm; read, the last number used."""

    class_id = 1
    attributes = 2

    def read(self, attribute, out):
        out.uint32(self.meter.control.guard.last_number)

    def set(self, attribute, data, who):
        order = data.octets()
        data.end()
        sap, _, channel = self.asker()
        answer(self.meter.control.arm(order, sap, channel))


class BreakerPolicy(View):
    """Data 0.0.96.3.130, set at provisioning: inhibit, critical, two persons, sealed only."""

    class_id = 1
    attributes = 2

    def read(self, attribute, out):
        policy = self.meter.control.policy
        out.uint8(
            (1 if policy.inhibit else 0)
            | (2 if policy.critical else 0)
            | (4 if policy.two_person else 0)
            | (0 if policy.interactive else 8)
        )


class BreakerAlarms(View):
    """Data 0.0.96.3.132: the alarms that stand, as ALARM_ bits of ams.control.breaker."""

    class_id = 1
    attributes = 2

    def read(self, attribute, out):
        out.uint8(self.meter.control.breaker.alarms)
