"""A report as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import Any

from openams.csvtable import shown
from openams.headend.report.model import Figure, Report

COLUMNS = ("figure", "key", "title", "row", "count", "share", "national_share", "unit", "note")


def as_json(report: Report) -> dict[str, Any]:
    """Shares are 0 to 1; null: not known."""
    return {
        "company": report.company,
        "at": report.at.isoformat(),
        "first": report.first.isoformat(),
        "last": report.last.isoformat(),
        "figures": {str(one.number): _figure(one) for one in report.regulator},
        "chain": {one.key: _figure(one) for one in report.own},
        "courses": {
            one.key: {
                "title": one.title,
                "days": [day.isoformat() for day in one.days],
                "lines": {line.label: list(line.values) for line in one.lines},
            }
            for one in report.courses
        },
        "missing": list(report.missing),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "key": figure.key,
        "title": figure.title,
        "unit": figure.unit,
        "whole": figure.whole,
        "rows": [asdict(row) for row in figure.rows],
        "source": figure.source,
        "note": figure.note,
    }


def as_csv(report: Report) -> str:
    """One row a bar; days of courses are rows of their own."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in (*report.regulator, *report.own):
        for row in one.rows:
            numbers = map(_cell, (row.count, row.share, row.national))
            name = (one.number or "", one.key, one.title, row.label)
            writer.writerow(map(shown, [*name, *numbers, one.unit, one.note]))
    for course in report.courses:
        for line in course.lines:
            for day, value in zip(course.days, line.values, strict=True):
                writer.writerow(["", course.key, course.title, f"{day} {line.label}", "",
                                 _cell(value), "", "share", ""])  # fmt: skip
    return text.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
