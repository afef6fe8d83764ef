"""Rates, highest demands and billing periods: on both VMs."""

from __future__ import annotations

from pathlib import Path

import billing_vm
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / path) for path in ("tests/unit", "host/openams/faultlab")]


@pytest.mark.parametrize("seed", range(1, 4))
def test_the_rates_sum_up_to_the_register(seed):
    billing_vm.rates(seed)


@pytest.mark.parametrize("seed", range(1, 3))
def test_the_highest_three_are_of_different_days(seed):
    billing_vm.demands(seed)


@pytest.mark.parametrize("test", billing_vm.TESTS, ids=lambda test: test.__name__)
def test_periods(test):
    assert test() > 0


def test_on_the_vm(micropython):
    script = f"import sys\nsys.path[:0] = {PATHS!r}\nimport billing_vm\nprint(billing_vm.all_of(1))"
    assert micropython(script, heap_kib=4096).strip() == str(2 + len(billing_vm.TESTS))
