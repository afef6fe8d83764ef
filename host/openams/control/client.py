"""What the operator does to breaker and limiter through an association of the breaker's client."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from openams.client import data as axdr
from openams.client.errors import ClientError, ResultError, understood
from openams.client.event_details import STATES, means
from openams.client.firmware_names import EVENTS
from openams.client.names import parse_obis
from openams.control.orders import Order, digest, seconds
from openams.errors import BenchError
from openams.keys.keystore import Keystore
from openams.keys.model import MeterKeys

if TYPE_CHECKING:
    from openams.client.client import Client

BREAKER = "0.0.96.3.10.255"
ORDER = "0.0.96.3.128.255"
QUOTA = "0.0.96.3.129.255"
POLICY = "0.0.96.3.130.255"
WINDOW = "0.0.96.3.131.255"
ALARMS = "0.0.96.3.132.255"
LIMITER = "0.0.17.0.0.255"
MONITORED = {
    "average-import": (5, "1.0.1.4.0.255"),
    "current-l1": (3, "1.0.31.7.0.255"),
    "current-l2": (3, "1.0.51.7.0.255"),
    "current-l3": (3, "1.0.71.7.0.255"),
    "current-max": (3, "1.0.11.7.0.255"),
}
_ALARMS = ("failed", "welded", "no-voltage", "mismatch", "not-stored")
_POLICIES = ("inhibit", "critical", "two-person", "sealed-only")
# A threshold that is off: of power, and of a current.
_OFF_POWER = 0xFFFFFFFF
_OFF_CURRENT = 0x7FFFFFFF
# Clocks of meter and operator may differ by so much.
_EARLY = timedelta(seconds=60)
# A relay is tried three times, which takes two seconds; an emulated chip is slower than that.
_MOVES_S = 15.0
_LOOK_S = 0.1
# Of orders' numbers, and of what else a meter counts in 32 bits.
_MOST = 0xFFFFFFFF
# Where the contact may be after an order that was done; by hand it is closed from the last of them.
_AFTER = {"disconnect": STATES[:1], "reconnect": STATES[1:]}
# Code, detail and extra of the control log's newest event.
_LAST_EVENT = ("0.0.96.11.2.255", "0.0.128.2.2.255", "0.0.128.3.2.255")

_CLOCKS = (
    ", by the meter's clock; orders go by this computer's: see ams clock URL, or seal one for a "
    "time with ams order make"
)
_HINTS = {"too-early": _CLOCKS, "expired": _CLOCKS}


class Operator:
    """`valid_s`: how long the orders that this makes can be spent, from `now` on."""

    def __init__(
        self,
        meter: Client,
        store: Keystore,
        meter_id: str,
        valid_s: int = 300,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._meter = meter
        self._now = now
        self._store = store
        self._meter_id = meter_id
        self._valid = timedelta(seconds=valid_s)
        # The number of the last order that the meter may have been given.
        self.last_order: int | None = None

    # --- orders -----------------------------------------------------------------------

    def arm(self, action: str, bound: bytes = bytes(8)) -> None:
        """Seals an order for what comes next and gives it to the meter."""
        keys = self._settled()
        with understood("number of orders"):
            used = _whole(self._meter.get(1, ORDER, 2))
        if used >= _MOST:
            raise BenchError("the meter has no numbers of orders left: see ams breaker URL anew")
        number = self._store.reserve_order(self._meter_id, used + 1)
        now = self._now()
        self.last_order = number
        order = Order(
            bytes.fromhex(keys.system_title),
            action,
            number,
            seconds(now - _EARLY),
            seconds(now + self._valid),
            bound,
        )
        self.give(order.sealed(keys.key("breaker")))

    def _settled(self) -> MeterKeys:
        """The keys; of a rotation that was cut off, the breaker key that the meter has."""
        keys = self._store.get(self._meter_id)
        if "breaker" in keys.pending_secrets:
            from openams.client.rotation import settle

            settle(self._meter, self._store, "breaker")
            keys = self._store.get(self._meter_id)
        return keys

    def give(self, sealed: bytes) -> None:
        try:
            self._meter.set(1, ORDER, 2, axdr.octets(sealed))
        except ResultError as error:
            raise BenchError(f"the meter does not take the order ({self._why(error)})") from None

    def _why(self, error: ResultError) -> str:
        """The result, and the reason that the meter's control log has for it."""
        result = str(error).split(": ")[-1]
        try:
            code, detail, extra = (self._meter.get(1, obis, 2) for obis in _LAST_EVENT)
            said = means(code, detail, extra)
            # Of this client, and with this order or before any was taken.
            mine = detail >> 16 == self._meter.sap and extra >> 8 in (0, self.last_order)
            if EVENTS.get(code) == "control-refused" and mine:
                return f"{result}: {said['reason']}{_HINTS.get(said['reason'], '')}"
        except (ClientError, TypeError, ValueError, LookupError):
            pass
        return f"{result}; ams events URL --log control may say why"

    # --- breaker -----------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        return breaker_state(self._meter)

    def move(self, action: str, sealed: bytes | None = None) -> dict[str, Any]:
        """`disconnect` or `reconnect`, with a sealed order that is given or made."""
        if sealed is None:
            self.arm(action)
        else:
            self.give(sealed)
        try:
            self._meter.action(70, BREAKER, 1 if action == "disconnect" else 2, axdr.int8(0))
        except ResultError as error:
            raise BenchError(f"the meter refuses to {action} ({self._why(error)})") from None
        state = self._settled_state()
        if state["state"] not in _AFTER[action]:
            raise BenchError(f"the meter takes the order to {action} and is {state['state']}")
        return state

    def _settled_state(self) -> dict[str, Any]:
        """How it stands once the contact is where the state has it: a relay takes its time.

        BenchError when it does not follow, or is not known to.
        """
        end = time.monotonic() + _MOVES_S
        while True:
            state = self.state()
            if state["connected"] == (state["state"] == "connected"):
                return state
            if "failed" in state["alarms"] or time.monotonic() > end:
                where = "closed" if state["connected"] else "open"
                raise BenchError(
                    f"the meter has the order and its contact is still {where} "
                    f"(alarms: {', '.join(state['alarms']) or 'none'})"
                )
            time.sleep(_LOOK_S)

    def begin_anew(self, sealed: bytes | None = None) -> dict[str, Any]:
        """Numbers and time of orders begin anew, by an order that is given or made."""
        if sealed is None:
            self.arm("anew")
        else:
            self.give(sealed)
        return self.state()

    def set_mode(self, mode: int) -> dict[str, Any]:
        self._set("set-breaker", 70, BREAKER, 4, axdr.enum(mode))
        return self.state()

    def _set(self, action: str, class_id: int, obis: str, number: int, value: bytes) -> None:
        self.arm(action, digest(number, value))
        try:
            self._meter.set(class_id, obis, number, value)
        except ResultError as error:
            raise BenchError(f"the meter refuses {obis}@{number} ({self._why(error)})") from None

    # --- limiter -----------------------------------------------------------------------

    def limits(self) -> dict[str, Any]:
        return limits(self._meter)

    def set_monitored(self, name: str) -> None:
        class_id, obis = MONITORED[name]
        value = axdr.structure(
            axdr.uint16(class_id), axdr.octets(bytes(parse_obis(obis))), axdr.int8(2)
        )
        self._set("set-limiter", 71, LIMITER, 2, value)

    def set_threshold(self, number: int, monitored: str, milli: int | None) -> None:
        """Attribute 4 or 5, in mW or mA; None: off."""
        if monitored == "average-import":
            value = axdr.uint32(_OFF_POWER if milli is None else milli)
        else:
            value = b"\x05" + (_OFF_CURRENT if milli is None else milli).to_bytes(4, "big")
        self._set("set-limiter", 71, LIMITER, number, value)

    def set_duration(self, number: int, value_s: int) -> None:
        self._set("set-limiter", 71, LIMITER, number, axdr.uint32(value_s))

    def set_actions(self, over: int, under: int) -> None:
        scripts = axdr.octets(bytes((0, 0, 10, 0, 106, 255)))
        value = axdr.structure(
            *(axdr.structure(scripts, axdr.uint16(number)) for number in (over, under))
        )
        self._set("set-limiter", 71, LIMITER, 11, value)

    def set_emergency(self, profile: int, start: datetime, duration_s: int) -> None:
        value = axdr.structure(
            axdr.uint16(profile), axdr.octets(axdr.date_time(start)), axdr.uint32(duration_s)
        )
        self._set("set-limiter", 71, LIMITER, 8, value)

    def set_groups(self, groups: list[int]) -> None:
        self._set("set-limiter", 71, LIMITER, 9, axdr.array(*map(axdr.uint16, groups)))

    def set_window(self, window_s: int, reconnections: int) -> None:
        value = axdr.structure(axdr.uint32(window_s), bytes((0x11, reconnections)))
        self._set("set-limiter", 1, WINDOW, 2, value)

    def set_quota(self, limit_wh: int, period_s: int, warning_permille: int) -> None:
        value = axdr.structure(
            axdr.uint32(limit_wh), axdr.uint32(period_s), axdr.uint16(warning_permille)
        )
        self._set("set-limiter", 1, QUOTA, 2, value)


def breaker_state(meter: Client) -> dict[str, Any]:
    """State, mode, contact, alarms and policy; every client with keys may read them."""
    with understood("breaker"):
        bits, alarms = (_whole(meter.get(1, obis, 2)) for obis in (POLICY, ALARMS))
        return {
            "state": STATES[_whole(meter.get(70, BREAKER, 3))],
            "connected": _flag(meter.get(70, BREAKER, 2)),
            "mode": _whole(meter.get(70, BREAKER, 4)),
            "alarms": [name for k, name in enumerate(_ALARMS) if alarms >> k & 1],
            "policy": [name for k, name in enumerate(_POLICIES) if bits >> k & 1],
            "last_order": _whole(meter.get(1, ORDER, 2)),
        }


def _whole(value: Any, least: int = 0) -> int:
    """ValueError for what is no number that a meter has."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
        raise ValueError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


@understood("limiter")
def limits(meter: Client) -> dict[str, Any]:
    """All that the limiter is set to; a threshold that is None is off."""
    class_id, ln, _ = meter.get(71, LIMITER, 2)
    name = ".".join(map(str, ln))
    monitored = {value: key for key, value in MONITORED.items()}[class_id, name]
    unit = "mw" if monitored == "average-import" else "ma"
    off = _OFF_POWER if unit == "mw" else _OFF_CURRENT

    def threshold(number: int) -> int | None:
        value = _whole(meter.get(71, LIMITER, number), -_MOST)
        return None if value == off else value

    profile, start, duration_s = meter.get(71, LIMITER, 8)
    over, under = (_whole(action[1]) for action in meter.get(71, LIMITER, 11))
    window_s, reconnections = map(_whole, meter.get(1, WINDOW, 2))
    limit_wh, period_s, warning, used_wh, flags = map(_whole, meter.get(1, QUOTA, 2))
    moment = axdr.parse_date_time(start)
    return {
        "monitored": monitored,
        "window_s": window_s,
        f"threshold_active_{unit}": threshold(3),
        f"threshold_normal_{unit}": threshold(4),
        f"threshold_emergency_{unit}": threshold(5),
        "min_over_threshold_s": _whole(meter.get(71, LIMITER, 6)),
        "min_under_threshold_s": _whole(meter.get(71, LIMITER, 7)),
        "emergency": {
            "id": _whole(profile),
            "start": moment.isoformat() if moment else None,
            "duration_s": _whole(duration_s),
            "groups": [_whole(group) for group in meter.get(71, LIMITER, 9)],
            "active": _flag(meter.get(71, LIMITER, 10)),
        },
        "action_over": over,
        "action_under": under,
        "reconnections_per_hour": reconnections,
        "quota": {
            "limit_wh": limit_wh,
            "period_s": period_s,
            "warning_permille": warning,
            "used_wh": used_wh,
            "flags": flags,
        },
    }
