"""Emulated meters as other projects ask for them: the markers' options."""

from __future__ import annotations

import pytest
import serial

from openams.client.client import session
from openams.client.links import parse_url
from openams.errors import BenchError
from openams.han.reader import FrameReader
from openams.hil.options import parse_options


@pytest.mark.parametrize(
    "system",
    [pytest.param(name, marks=pytest.mark.meter(system=name)) for name in ("1P2W", "3P3W", "3P4W")],
)
@pytest.mark.meter(han_format="aidon")
def test_the_port_of_the_meter_shows_its_load(meter, han_port, system):
    reader = FrameReader()
    with serial.Serial(han_port, 2400, timeout=0.5) as port:
        meter.load(3000)
        meter.wait(13)
        read = list(reader.feed(port.read(4000)))
    shown = read[-1].values["active_power_import_w"]
    assert shown == pytest.approx(3000, rel=meter.load_accuracy, abs=1)
    assert any("voltage_l1_v" in reading.values for reading in read)


@pytest.mark.meter(dlms=True)
def test_a_dlms_client_reads_the_meter_before_and_after_a_power_cut(meter):
    meter.load(1000)
    meter.wait(72)
    url = meter.url
    with session(parse_url(url), "reader", meter.keystore, meter.meter_id) as client:
        before = client.get(3, "1.0.1.8.0.255", 2)
    # While a client is answered, the time of a chip goes on.
    assert before == pytest.approx(20_000, rel=meter.load_accuracy, abs=300)  # mWh
    meter.cut_power()
    meter.restore_power()
    assert meter.url == url
    with session(parse_url(url), "reader", meter.keystore, meter.meter_id) as client:
        # It is stored every minute.
        assert before - 3500 < client.get(3, "1.0.1.8.0.255", 2) <= before


class TestOptionsOfAClass:
    @pytest.fixture
    def meter_options(self):
        return {"han_open": False, "meter_id": "7359990000000024"}

    def test_the_fixture_gives_options(self, meter):
        meter.wait(12)
        assert meter.readings() == []
        assert meter.meter_id == "7359990000000024"

    @pytest.mark.meter(han_open=True)
    def test_a_marker_goes_over_it(self, meter):
        meter.wait(12)
        assert meter.readings()
        assert meter.meter_id == "7359990000000024"


@pytest.mark.meter()
def test_no_dlms_unless_asked_for(meter):
    with pytest.raises(BenchError, match="dlms=True"):
        _ = meter.url


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"colour": "red"}, "no meter option 'colour'"),
        ({"system": "2P"}, "choose one of 1P2W"),
        ({"han_format": "x"}, "choose one of aidon"),
        ({"speed": 0}, "above 0"),
        ({"meter_id": "17"}, "16 digits"),
    ],
)
def test_a_wrong_option_says_what_there_is(options, text):
    with pytest.raises(BenchError, match=text):
        parse_options(options)
