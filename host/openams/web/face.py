"""What the page of one meter shows, and what is done to the meter there.

The meter is played by one thread, which alone may ask it: it calls `show` a few times a second,
and does what the page asked for between two pieces of the scenario (`Session.ask`). Orders of the
operator go the way of every operator's: by DLMS, with the keys of the keystore, to its TCP port.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from openams.bench.options import CHIP
from openams.bench.orders import INPUTS, RELAY_FAULTS
from openams.bench.profiles import day_limits, named
from openams.bench.quirks import quirks_of
from openams.errors import BenchError
from openams.han.reading import Reading, reading_to_json
from openams.meter_time import NORWAY, from_utc_ms, local_text
from openams.runtimes.wire import Frame

if TYPE_CHECKING:
    from openams.bench.session import Session
    from openams.web.hub import Hub

# Events of each log that a page is shown of what was there before it.
_OLD_EVENTS = 20
# Nobody holds a button for longer: whoever pressed it has gone.
_HELD_MOST_S = 20.0
# An operator's command may wait for the relay.
_TIMEOUT_S = 30.0
_MWH_PER_PULSE = 1000  # 1000 pulses per kWh


class Face:
    def __init__(self, session: Session, hub: Hub, dlms_url: str | None) -> None:
        self._session = session
        self._hub = hub
        self._dlms_url = dlms_url
        self._operating = threading.Lock()
        self._seen: list[int] | None = None  # newest event of each log
        self._shown_entries: Any = None
        self._day: date | None = None  # that is shown; None: the day that it is
        self._pressed: threading.Timer | None = None
        self._pressed_at_s: float | None = None  # of a chip, in its own time
        self._frames = 0
        self._run = secrets.token_hex(8)
        hub.publish("hello", self._hello())

    def _hello(self) -> dict[str, Any]:
        session = self._session
        options = session.options
        quirks = quirks_of(options.han_format, options.han_keys is not None)
        return {
            "run": self._run,
            "meter_id": options.meter_id,
            "scenario": session.scenario.name,
            "system": session.scenario.system,
            "sampled": session.sampled,
            "runtime": options.runtime,
            "speed": options.speed,
            "duration_s": session.duration_s,
            "han_format": options.han_format,
            "quirks": quirks,
            "quirk": options.quirk,
            "inputs": list(INPUTS),
            "relay": list(RELAY_FAULTS),
            "operator": self._dlms_url is not None,
        }

    # --- what is shown -----------------------------------------------------------------

    def show(self, figures: dict[str, Any]) -> None:
        """The meter's answer to a view; called by the thread that plays it."""
        session = self._session
        self._tire()
        registers = figures["registers"]
        q = figures["quantities"]
        self._hub.publish(
            "view",
            {
                "time": local_text(figures["utc_ms"]),
                "quantities": {**q, "status_names": _status_names(q["status"])},
                "registers": registers,
                "max_demand_mw": figures["max_demand_mw"],
                "pulses": _pulses(figures),
                "breaker": figures["breaker"],
                "display": figures["display"],
                "han": figures["han"],
                "simulated_s": round(session.progress.simulated_s, 2),
                "point": [figures["utc_ms"], q["total_active_power_mw"], *q["voltage_mv"]],
            },
        )
        self._show_events(figures.get("event_numbers"))
        self._show_profile(figures)

    def _show_events(self, newest: list[int] | None) -> None:
        if newest is None or newest == self._seen:
            return
        after = [max(0, n - _OLD_EVENTS) for n in newest] if self._seen is None else self._seen
        rows = [row for row in self._session.process.rows("events", after=after)
                if row[0] > after[row[2]]]  # fmt: skip
        # Some may have come since the view; where a log was begun anew its numbers fall.
        self._seen = [max([newest[log], *(row[0] for row in rows if row[2] == log)])
                      for log in range(len(newest))]  # fmt: skip
        rows.sort(key=lambda row: row[1])
        self._hub.publish("events", [named("events", row) for row in rows])

    def _show_profile(self, figures: dict[str, Any]) -> None:
        today = from_utc_ms(figures["utc_ms"]).astimezone(NORWAY).date()
        shown = (self._day or today, figures["profile"]["entries"])
        if shown != self._shown_entries:
            self._shown_entries = shown
            self._hub.publish("profile", self._profile(shown[0], today))

    def _profile(self, day: date, today: date) -> dict[str, Any]:
        begin_ms, end_ms = day_limits(day)
        rows = self._session.process.rows("load", from_ms=begin_ms, to_ms=end_ms)
        return {
            "day": day.isoformat(),
            "today": day == today,
            "begin_ms": begin_ms - 1,
            "end_ms": end_ms,
            "entries": [{**named("load", row), "end_ms": row[1] * 1000} for row in rows],
        }

    def frame(self, frame: Frame, readings: list[Reading], error: str | None) -> None:
        """What the meter wrote to its HAN port, and what a reader at the far end makes of it."""
        self._frames += 1
        self._hub.publish(
            "frame",
            {
                "number": self._frames,
                "time": local_text(frame.utc_ms),
                "hex": frame.data.hex(),
                "readings": [reading_to_json(reading) for reading in readings],
                "error": error,
            },
        )

    # --- what is done ------------------------------------------------------------------

    def do(self, order: dict[str, Any]) -> Any:
        """One order of the page; called by threads of the server. Raises BenchError."""
        act = {
            "display": self._display,
            "button": self._button, "input": self._input, "relay": self._relay,
            "quirk": self._quirk, "day": self._choose_day,
            "breaker": self._move_breaker, "han": self._open_han,
        }.get(order["do"])  # fmt: skip
        if act is None:
            raise BenchError(f"{order['do'][:40]!r} is no order of this page")
        return act(order)

    def _ask(self, job: Callable[[], Any]) -> Any:
        return self._session.ask(job, _TIMEOUT_S)

    def _operate(self, **order: Any) -> None:
        session = self._session
        self._ask(lambda: session.process.operate(session.progress.utc_ms, **order))

    def _button(self, order: dict[str, Any]) -> None:
        pressed = order.get("pressed") is True
        if self._pressed:
            self._pressed.cancel()
            self._pressed = None
        self._operate(button=pressed)
        session = self._session
        if session.options.runtime == CHIP:
            # It runs at a pace of its own, and so long as a finger is there it is there for it.
            self._pressed_at_s = session.progress.simulated_s if pressed else None
        elif pressed:
            timer = threading.Timer(_HELD_MOST_S, self._let_go)
            timer.daemon = True
            self._pressed = timer
            timer.start()

    def _display(self, order: dict[str, Any]) -> None:
        """As a short press of the button does ("next"), or a long one ("list")."""
        press = order.get("press")
        if press not in ("next", "list"):
            raise BenchError("the display goes to the next item or the next list")
        self._operate(display=press)

    def _tire(self) -> None:
        """As `_let_go`, by the time of a chip, in the thread that plays it."""
        progress = self._session.progress
        began_s = self._pressed_at_s
        if began_s is not None and progress.simulated_s - began_s > _HELD_MOST_S:
            self._pressed_at_s = None
            self._session.process.operate(progress.utc_ms, button=False)

    def _let_go(self) -> None:
        with contextlib.suppress(BenchError):  # the run has ended meanwhile
            self._operate(button=False)

    def _input(self, order: dict[str, Any]) -> None:
        name = order.get("name")
        if name not in INPUTS:
            raise BenchError(f"an input of the case is one of {', '.join(INPUTS)}")
        self._operate(event=INPUTS[name])

    def _relay(self, order: dict[str, Any]) -> None:
        name = order.get("fault")
        if name not in RELAY_FAULTS:
            raise BenchError(f"the relay is one of {', '.join(RELAY_FAULTS)}")
        self._operate(relay=RELAY_FAULTS[name])

    def _quirk(self, order: dict[str, Any]) -> None:
        name = order.get("name")
        hello = self._hello()
        if name is not None and name not in hello["quirks"]:
            raise BenchError(f"a quirk of this port is one of {', '.join(hello['quirks'])}")
        session = self._session
        self._ask(lambda: session.misbehave(name))
        self._hub.publish("hello", self._hello())

    def _choose_day(self, order: dict[str, Any]) -> None:
        """`day` "2017-09-15", or nothing for the one that it is."""
        text = order.get("day")
        try:
            self._day = date.fromisoformat(text) if text else None
            if self._day:
                day_limits(self._day + timedelta(days=1))
        except (TypeError, ValueError, OverflowError):
            raise BenchError("a day is written like 2026-01-31") from None

    # --- the operator ------------------------------------------------------------------

    def _operator(self) -> tuple[Any, Any]:
        from openams.client.links import parse_url

        store = self._session.options.keystore
        if store is None or self._dlms_url is None:
            raise BenchError("this meter has no two-way link: nobody can operate it from afar")
        return store, parse_url(self._dlms_url)

    def _move_breaker(self, order: dict[str, Any]) -> dict[str, Any]:
        from openams.client.client import session
        from openams.control.client import Operator

        move, mode = order.get("move"), order.get("mode")
        if not (move is None and mode in range(7) or move in ("disconnect", "reconnect")):
            raise BenchError("the breaker disconnects, reconnects, or has a mode from 0 to 6")
        store, url = self._operator()
        meter_id = self._session.options.meter_id
        with self._one_at_a_time(), session(url, "breaker", store, meter_id, _TIMEOUT_S) as meter:
            operator = Operator(meter, store, meter_id, now=self._now)
            return operator.set_mode(int(mode or 0)) if move is None else operator.move(move)

    def _now(self) -> datetime:
        """Of the scenario, whose operator lives in its time."""
        return from_utc_ms(self._session.progress.utc_ms)

    def _open_han(self, order: dict[str, Any]) -> None:
        from openams.client import data as axdr
        from openams.client.client import session
        from openams.client.names import HAN_OPEN

        store, url = self._operator()
        meter_id = self._session.options.meter_id
        with self._one_at_a_time(), session(url, "operator", store, meter_id, _TIMEOUT_S) as meter:
            meter.set(1, HAN_OPEN, 2, axdr.boolean(order.get("open") is True))

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._operating.acquire(timeout=1):
            raise BenchError("the operator is busy with this meter: try again")
        try:
            yield
        finally:
            self._operating.release()


def _pulses(figures: dict[str, Any]) -> int:
    """Of the test LED: of a chip as they were seen at its pin, elsewhere as they are counted."""
    if "flashes" in figures:
        return int(figures["flashes"])
    registers = figures["registers"]
    return int((registers["a_plus_mwh"] + registers["a_minus_mwh"]) // _MWH_PER_PULSE)


def _status_names(status: int) -> list[str]:
    from openams.bench.liveview import status_names

    return status_names(status)
