"""An outside head-end's night: gurux-dlms alone collects yesterday of a field."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dlms_clients import Gurux
from fieldbench import BEGIN_MS, DAY_MS, HOUR_MS, keystore, served

from openams.field.field import Field
from openams.field.ledger import local_day
from openams.field.meters import FieldPlan, make_plan
from openams.keys.keystore import Keystore
from openams.meter_time import NORWAY, from_utc_ms


class Outside:
    """What gurux-dlms is told of a meter: where it is, and the reader's keys."""

    timeout_s = 20.0

    def __init__(self, store: Keystore, meter_id: str, url: str) -> None:
        host, _, port = url.removeprefix("tcp://").partition(":")
        self.tcp = host, int(port)
        self._store = store
        self._meter_id = meter_id

    def keys(self, role: str) -> dict[str, Any]:
        client = self._store.get(self._meter_id).client(2)
        return {
            "mechanism": 5,
            "sap": 2,
            "system_title": client.title,
            "encryption_key": client.current.encryption,
            "authentication_key": client.current.authentication,
            "next_counter": self._store.reserve(self._meter_id, 2, 1000),
        }


def collected(count: int, folder: Path) -> None:
    """Each interval of yesterday is the ledger's, of meters whose clocks are right."""
    made = make_plan(count, 7, begin_ms=BEGIN_MS, shares={"cellular": 1})
    plan = FieldPlan(
        tuple(replace(meter, clock_ppm=0) for meter in made.meters), (), made.begin_ms, made.seed
    )
    store = keystore(folder)
    with Field(plan, store, folder / "field.db", awake=20) as field:
        field.advance_to(BEGIN_MS + DAY_MS + HOUR_MS)
        begin = datetime(2026, 1, 10, 0, 1, tzinfo=NORWAY)
        rows = {}
        with served(field) as urls:
            for meter in plan.meters:
                with Gurux(
                    Outside(store, meter.meter_id, urls[meter.meter_id]), "reader", "tcp"
                ) as g:  # type: ignore[arg-type]
                    end = begin + timedelta(hours=24)
                    rows[meter.meter_id] = g.rows_by_range("1.0.99.1.0.255", begin, end)
        field.settle()
        day, *_ = local_day(BEGIN_MS)
        for meter in plan.meters:
            true = field.ledger.day(meter.meter_id, day).intervals(meter.period_s // 60)
            read = [
                (row[2], row[3])
                for row in rows[meter.meter_id]
                if row[0].astimezone(NORWAY) > begin.astimezone(NORWAY)
            ]
            assert read == [(row["import_mwh"], row["export_mwh"]) for row in true], meter
            assert from_utc_ms(true[0]["begin_ms"]).astimezone(NORWAY).hour == 0


def test_yesterday_of_six_meters_by_gurux(tmp_path: Path) -> None:
    collected(6, tmp_path)


@pytest.mark.campaign
def test_yesterday_of_a_hundred_meters_by_gurux(tmp_path: Path) -> None:
    collected(100, tmp_path)
