"""An image on its way to a meter by class 18, over a client of updates; resumable at any point."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from openams.client import data as axdr
from openams.client import readout, update_reasons
from openams.client.errors import ClientError, LinkError, ResultError, ServiceError, understood
from openams.errors import BenchError
from openams.image.file import Image
from openams.meter_time import NORWAY

if TYPE_CHECKING:
    from openams.client.client import Client

TRANSFER = "0.0.44.0.0.255"
STATE = "0.0.128.4.0.255"
SCHEDULE = "0.0.15.0.2.255"
VERSION = "1.0.0.2.0.255"
STATES = (
    "not-initiated",
    "initiated",
    "verifying",
    "verified",
    "verification-failed",
    "activating",
    "activated",
    "activation-failed",
)
_NOT_INITIATED, _INITIATED, _VERIFYING, _VERIFIED = range(4)
_ACTIVATING, _ACTIVATED, _FELL_BACK = range(5, 8)
BLOCK_SIZES = (64, 128, 256)
# Of other meters they may be longer; an APDU is not.
_LONGEST_BLOCK = 0xFFFF
_TEMPORARY_FAILURE = 2
# The newest entries of the security log in which a refusal is looked for.
_LOOK_BACK = 40
_POLL_S = 0.2
_PAUSE_S = 1.0
# Many times what a chip takes for the signature of a whole firmware.
_VERIFIED_S = 1800.0

Connect = Callable[[], AbstractContextManager["Client"]]
# Blocks that are there, blocks of all.
Progress = Callable[[int, int], None]
_T = TypeVar("_T")


class Refusal(ClientError):
    """The meter does not take the image."""


class Sender:
    """`connect` opens an association of the client of updates; after a break it does so again,
    `retries` times in a row at most."""

    def __init__(self, connect: Connect, retries: int = 5) -> None:
        self._connect = connect
        self._retries = retries
        self._met = False
        self.breaks = 0
        self.sent = 0  # blocks of this run

    def _lasting(self, step: Callable[[Client], _T]) -> _T:
        """`step` in an association, begun again after each break of the link."""
        left = self._retries
        while True:
            before = self.sent
            try:
                with self._connect() as meter, understood("image transfer"):
                    self._met = True
                    return step(meter)
            except (LinkError, ServiceError):
                # What got through counts: only a link that never moves is given up.
                left = (self._retries if self.sent > before else left) - 1
                if left < 0 or not self._met:
                    raise
                self.breaks += 1
                time.sleep(_PAUSE_S)

    def choose(self, images: list[Image]) -> Image:
        """Of a whole firmware the image for the half that does not run."""
        if len(images) == 1:
            return images[0]
        return images[self._lasting(free_half) - 1]

    # --- transfer ----------------------------------------------------------------------

    def send(self, image: Image, block_size: int, progress: Progress) -> None:
        """All blocks that the meter does not have; then it verifies. Raises Refusal."""
        octets = image.octets()
        self._lasting(lambda meter: self._transfer(meter, image, octets, block_size, progress))
        self._lasting(_verify)

    def _transfer(
        self, meter: Client, image: Image, octets: bytes, block_size: int, progress: Progress
    ) -> None:
        size = _block_size(meter, block_size)
        start = axdr.structure(axdr.octets(image.identifier), axdr.uint32(len(octets)))
        _act(meter, 1, start, "the meter does not begin the transfer")
        there = meter.get(18, TRANSFER, 3)
        blocks = -(-len(octets) // size)
        if len(there) != blocks:
            raise ClientError(f"the meter counts {len(there)} blocks where there are {blocks}")
        done = there.count("1")
        progress(done, blocks)
        for number, bit in enumerate(there):
            if bit == "1":
                continue
            block = octets[number * size : (number + 1) * size]
            value = axdr.structure(axdr.uint32(number), axdr.octets(block))
            _act(meter, 2, value, f"the meter does not take block {number}")
            done += 1
            self.sent += 1
            progress(done, blocks)

    # --- activation --------------------------------------------------------------------

    def activate(self) -> None:
        """The meter starts anew right after it has answered."""
        before = self.breaks
        self._lasting(lambda meter: activate(meter, self.breaks > before))

    def activate_at(self, when: datetime) -> datetime:
        return self._lasting(lambda meter: schedule(meter, when))

    def outcome(self, wait_s: float) -> dict[str, Any]:
        """The status once the new code has been confirmed or given up; BenchError after `wait_s`.

        The meter is away for a while: it starts anew.
        """
        end = time.monotonic() + wait_s
        while True:
            try:
                with self._connect() as meter, understood("image transfer"):
                    found = status(meter)
                if found["state"] in ("activated", "activation-failed"):
                    return found
            except (LinkError, ServiceError, ResultError):
                pass
            if time.monotonic() > end:
                raise BenchError(
                    f"the meter has not confirmed the image within {wait_s:.0f} s: "
                    "ams image status URL says how far it is"
                )
            time.sleep(_PAUSE_S)


def _block_size(meter: Client, wanted: int) -> int:
    """Sets it where a transfer has not begun; gives the one that counts."""
    size = int(meter.get(18, TRANSFER, 2))
    if not 0 < size <= _LONGEST_BLOCK:
        raise ClientError(f"the meter has blocks of {size} octets: there are none")
    if size != wanted and meter.get(18, TRANSFER, 6) in (_NOT_INITIATED, _ACTIVATED):
        meter.set(18, TRANSFER, 2, axdr.uint32(wanted))
        size = wanted
    return size


def _act(meter: Client, method: int, value: bytes, what: str) -> None:
    """A method of class 18; a meter that is busy is asked again."""
    for _ in range(100):
        try:
            meter.action(18, TRANSFER, method, value)
            return
        except ResultError as error:
            if error.result != _TEMPORARY_FAILURE:
                raise Refusal(f"{what}: {str(error).split(': ')[-1]}") from None
        time.sleep(_POLL_S)
    raise Refusal(f"{what}: it is busy, with an image on trial or a verification")


def _verify(meter: Client) -> None:
    """Asks the meter to verify and waits for its verdict."""
    try:
        meter.action(18, TRANSFER, 3, axdr.int8(0))
    except ResultError as error:
        if error.result != _TEMPORARY_FAILURE:
            raise Refusal(f"the meter does not verify: {_why(meter)}") from None
    end = time.monotonic() + _VERIFIED_S
    while (state := meter.get(18, TRANSFER, 6)) == _VERIFYING:
        if time.monotonic() > end:
            raise Refusal(f"the meter has not verified the image within {_VERIFIED_S:.0f} s")
        time.sleep(_POLL_S)
    if state != _VERIFIED:
        raise Refusal(f"the meter refuses the image: {_why(meter)}")


def activate(meter: Client, again: bool = False) -> None:
    """`again`: it was asked to before, and nobody knows whether it has heard."""
    try:
        meter.action(18, TRANSFER, 4, axdr.int8(0))
    except ResultError as error:
        state = meter.get(18, TRANSFER, 6)
        if again and state in (_ACTIVATING, _ACTIVATED, _FELL_BACK):
            return
        if state != _VERIFIED:
            raise Refusal("nothing is there that was verified: ams image send first") from None
        raise Refusal(f"the meter does not activate: {_why(meter, error)}") from None


def schedule(meter: Client, when: datetime) -> datetime:
    """The meter activates in the minute of `when`, or the one after its seconds."""
    local = when.astimezone(NORWAY)
    if local.second or local.microsecond:
        local = local.replace(second=0, microsecond=0) + timedelta(minutes=1)
    time_ = bytes((local.hour, local.minute, 0, 0))
    date = local.year.to_bytes(2, "big") + bytes((local.month, local.day, 0xFF))
    entry = axdr.structure(axdr.octets(time_), axdr.octets(date))
    meter.set(22, SCHEDULE, 4, axdr.array(entry))
    return local.astimezone(UTC)


def unschedule(meter: Client) -> None:
    meter.set(22, SCHEDULE, 4, axdr.array())


def _why(meter: Client, error: ResultError | None = None) -> str:
    last = last_refusal(meter)
    if last is not None:
        return str(last["text"])
    return str(error).split(": ")[-1] if error else "the security log does not say why"


# --- what the meter says -----------------------------------------------------------------


def last_refusal(meter: Client) -> dict[str, Any] | None:
    """The newest `firmware-refused` among the last entries of the security log."""
    for event in reversed(readout.newest_events(meter, "security", _LOOK_BACK)):
        if event["name"] == "firmware-refused":
            number = int(event["detail"])
            return {
                "time": event["time"],
                "reason": update_reasons.name(number),
                "text": update_reasons.text(number),
            }
    return None


def status(meter: Client) -> dict[str, Any]:
    """How far a transfer is, what runs, and why the last image was refused."""
    state = int(meter.get(18, TRANSFER, 6))
    there = str(meter.get(18, TRANSFER, 3))
    confirmed, trial, starts_left, floor = meter.get(1, STATE, 2)
    ready = meter.get(18, TRANSFER, 7)
    return {
        "state": STATES[state] if state < len(STATES) else str(state),
        "enabled": bool(meter.get(18, TRANSFER, 5)),
        "block_size": meter.get(18, TRANSFER, 2),
        "blocks": len(there),
        "transferred": there.count("1"),
        "verified": [
            {"octets": size, "identifier": identifier.decode("ascii", "replace")}
            for size, identifier, _ in ready
        ],
        "version": meter.get(1, VERSION, 2).decode("ascii", "replace"),
        "slot": trial or confirmed,
        "trial": {"slot": trial, "starts_left": starts_left} if trial else None,
        "security_floor": floor,
        "activation_times": [_time_text(*row) for row in meter.get(22, SCHEDULE, 4)],
        "last_refusal": last_refusal(meter),
    }


def free_half(meter: Client) -> int:
    """The half that the next firmware goes into: 1 or 2, the one that does not run."""
    confirmed, trial, _, _ = meter.get(1, STATE, 2)
    if confirmed not in (1, 2):
        raise Refusal("this meter takes an image of modules, not a whole firmware")
    return 3 - int(trial or confirmed)


def _time_text(time_: bytes, date: bytes) -> str:
    """A time of the schedule, local; fields that are left open as they are."""
    year, month, day = int.from_bytes(date[:2], "big"), date[2], date[3]
    parts = ["*" if year == 0xFFFF else f"{year:04}"]
    parts += ["*" if field == 0xFF else f"{field:02}" for field in (month, day)]
    clock = ":".join("*" if field == 0xFF else f"{field:02}" for field in time_[:2])
    return "-".join(parts) + "T" + clock
