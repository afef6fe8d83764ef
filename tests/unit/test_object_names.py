"""Each object of the meter has a name that a person reads."""

from __future__ import annotations

from itertools import product

import pytest

from ams.objects import catalogue
from openams.client.object_names import object_name


def names():
    for _, where, cs, ds, es, view, *_ in catalogue.ROWS:
        channels = [where[1]]
        for c, d, e in product(cs, ds, es):
            for b in channels:
                yield f"{where[0]}.{b}.{c}.{d}.{e}.255", view


def test_every_object_has_a_name_of_its_own():
    found = {}
    for obis, view in names():
        name = object_name(obis)
        assert name, (obis, view)
        assert len(name) <= 44
        found.setdefault(name, set()).add(obis)
    assert {name: sorted(of) for name, of in found.items() if len(of) > 1} == {}


@pytest.mark.parametrize(
    "obis, name",
    [
        ("1-0:1.8.0", "active energy import A+"),
        ("1.0.2.29.0.255", "active energy export A-, last interval"),
        ("1.0.1.8.3.255", "active energy import A+, rate 3"),
        ("1.0.1.6.129.255", "highest hourly P+, day 2 of three"),
        ("1.0.32.7.0.255", "voltage L1"),
        ("1.0.71.7.0.255", "current L3"),
        ("1.0.91.7.0.255", "current of the neutral"),
        ("1.0.92.7.0.255", ""),
        ("1.0.14.7.0.255", "frequency"),
        ("1.0.51.25.0.255", "current L2, mean of 10 min"),
        ("1.0.31.7.124.255", "distortion of current L1"),
        ("0.0.99.98.3.255", "security log"),
        ("0.0.43.1.5.255", "counter of breaker"),
        ("1.0.99.99.9.255", ""),
        ("1.0.200.7.0.255", ""),
        ("6.0.1.8.0.255", ""),
    ],
)
def test_names(obis, name):
    assert object_name(obis) == name
