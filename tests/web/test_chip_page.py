"""The page of a meter on the emulated RP2040: it shows the pins and lines of the chip."""

from __future__ import annotations

import pytest
from rp2040py.rp2040 import RP2040
from test_page import stream_of

from openams.runtimes.rp2040.meter import clock_chip
from openams.runtimes.rp2040.wiring import BUTTON, TERMINAL_COVER, Wiring

START_MS = 821_700_000_000
# RP2040 datasheet, 2.19.6.3: a pad is read where its input is on.
PADS, INPUT_ENABLE = 0x4001C000, 0x40


def order(meter, **what):
    headers = {"X-OpenAMS-Token": meter.token(), "Content-Type": "application/json"}
    return meter.request("api/do", what, **headers)


@pytest.mark.campaign
def test_it_shows_the_chip_and_what_is_done_to_its_case(running):
    """A second of the chip's: lists, registers and events come from it, a cover's contact to it."""
    meter = running("--runtime", "rp2040", "--scenario", "house", "--system", "1P2W",
                    "--start", "2026-01-15T12:00:01", "--han-open")  # fmt: skip
    for what in (
        {"do": "input", "name": "terminal-cover-removed"},
        {"do": "relay", "fault": "welded"},
        {"do": "button", "pressed": True},
        {"do": "button", "pressed": False},
    ):
        assert order(meter, **what) == (200, '{"ok":null}'), what
    seen = stream_of(meter, ["hello", "frame"], timeout_s=240)
    hello, frame = seen["hello"][0], seen["frame"][0]
    assert hello["runtime"] == "rp2040" and hello["operator"]
    assert hello["relay"] == ["stuck", "welded", "good"]
    (reading,) = frame["readings"]
    (view,) = stream_of(meter, ["view"])["view"]
    assert frame["error"] is None and reading["list"] == 1
    power_w = view["quantities"]["total_active_power_mw"] / 1000
    assert reading["values"]["active_power_import_w"] == pytest.approx(power_w, rel=0.05)
    assert 220 < view["quantities"]["voltage_mv"][0] / 1000 < 240
    # Of a LED that flashes for each watt-hour: not before the first.
    assert view["pulses"] == view["registers"]["a_plus_mwh"] // 1000
    assert view["breaker"]["connected"] is True
    # The contact was read at its pin, and stood for a tenth of a second.
    past = stream_of(meter, ["past"])["past"][0]
    assert "terminal-cover-removed" in [event["name"] for event in past["events"]]
    # Of its port too: one frame of four is bad by this quirk, and none once it is off.
    assert order(meter, do="quirk", name="cut") == (200, '{"ok":null}')
    frames = stream_of(meter, ["frame"], 12, timeout_s=240)["frame"]
    assert any(frame["error"] for frame in frames) and not all(frame["error"] for frame in frames)
    assert order(meter, do="quirk", name=None) == (200, '{"ok":null}')
    after = stream_of(meter, ["frame"], 9, timeout_s=240)["frame"]
    assert not any(frame["error"] for frame in after[1:])


def test_what_is_done_at_the_case_of_a_chip_is_done_at_its_pins():
    chip = RP2040()
    wiring = Wiring(chip, clock_chip(START_MS))
    pins = chip.gpio
    for pin in (BUTTON, TERMINAL_COVER):
        chip.write_uint32(PADS + 4 + 4 * pin, INPUT_ENABLE)
    # A button that nobody presses is high, a cover that is on is low.
    assert pins[BUTTON].input_value and not pins[TERMINAL_COVER].input_value
    left = wiring.at_the_case({"button": True, "event": 40, "clock_step_ms": 5})
    assert left == {"clock_step_ms": 5}
    assert not pins[BUTTON].input_value and pins[TERMINAL_COVER].input_value
    assert wiring.at_the_case({"button": False, "event": 41, "relay": None}) == {}
    assert pins[BUTTON].input_value and not pins[TERMINAL_COVER].input_value
    # Another event is none of the case's.
    assert wiring.at_the_case({"event": 4}) == {"event": 4}


@pytest.mark.parametrize(
    ("fault", "opens", "closes"),
    [(None, True, True), ("welded", False, True), ("stuck", False, False)],
)
def test_a_relay_of_a_chip_fails_as_it_is_told_to(fault, opens, closes):
    wiring = Wiring(RP2040(), clock_chip(START_MS))
    model = wiring.relay.model
    assert wiring.at_the_case({"relay": fault}) == {}
    for which, closed, moves in (("open", True, opens), ("close", False, closes)):
        model.closed = closed
        model.coil(which, True)
        model.advance(50_000)
        model.coil(which, False)
        assert (model.closed != closed) == moves, which
