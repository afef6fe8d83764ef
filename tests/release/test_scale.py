"""docs/scale.md says what was measured, and what follows from it."""

from __future__ import annotations

import importlib.util

from tests.conftest import ROOT


def test_the_tables_are_those_of_the_figures():
    path = ROOT / "tools" / "bench" / "plan.py"
    spec = importlib.util.spec_from_file_location("bench_plan", path)
    plan = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plan)
    text = plan.PAGE.read_text()
    found = plan.load()
    assert plan.filled(text, found) == text
    # A figure that is another makes other tables: nothing of them stands by itself.
    found["hourly"]["runs"][plan.BUS]["collector"] *= 3
    assert plan.filled(text, found) != text


def test_the_plan_by_hand():
    path = ROOT / "tools" / "bench" / "plan.py"
    spec = importlib.util.spec_from_file_location("bench_plan", path)
    plan = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plan)
    # 3.24 million meter-days of 500 us are 1 620 s; a window has 14 100 s, half of it counts.
    assert plan.cores(3_240_000, 500, plan.COLLECT_S) == 1
    assert plan.cores(100_000_000, 500, plan.COLLECT_S) == 8
