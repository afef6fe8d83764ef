"""`ams profile --plot`: what is drawn is what the intervals say."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from openams.bench.pictures import check_picture, draw_profile, intervals
from openams.errors import BenchError


def row(time, plus, minus=0, length_s=900, marks=()):
    out = {"time": time, "a_plus_mwh": plus, "a_minus_mwh": minus, "status_names": list(marks)}
    return out | ({"length_s": length_s} if length_s else {})


# The night in which the hour from 02:00 comes twice.
NIGHT = [
    row("2026-10-25T02:00:00+02:00", 250_000),
    row("2026-10-25T02:15:00+02:00", 0, 500_000, marks=["dst"]),
    row("2026-10-25T02:15:00+01:00", 100_000, marks=["power-down"], length_s=300),
]


def test_mean_powers_are_those_of_the_intervals():
    first, second, third = intervals(NIGHT)
    assert first[1:] == (900.0, 1000.0, 0.0, False) and second[1:] == (900.0, 0.0, 2000.0, False)
    assert third[1:] == (300.0, 1200.0, 0.0, True)
    assert (third[0] - first[0]).total_seconds() == 3600 + 900 + 600


def test_a_meter_that_does_not_say_how_long_they_were():
    rows = [
        row(f"2026-01-01T{hour:02}:00:00+01:00", 1_000_000, length_s=None) for hour in (1, 2, 3, 7)
    ]
    assert [(length, watts) for _, length, watts, *_ in intervals(rows)] == [(3600.0, 1000.0)] * 4


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_picture_of_each_kind(tmp_path, kind):
    path = tmp_path / f"day.{kind}"
    check_picture(path)
    draw_profile(NIGHT, path)
    data = path.read_bytes()
    assert data.startswith({"png": b"\x89PNG", "svg": b"<?xml"}[kind])
    if kind == "svg":
        # The bars: paths of their own colours, one of an interval with a mark.
        text = ET.tostring(ET.fromstring(data)).decode()
        assert text.count("fill: #0b6e79") >= 2 and "fill: #a3480b" in text


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(BenchError, match="no intervals"):
        draw_profile([], tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
