"""A report as one page of HTML that needs nothing else, and prints."""

from __future__ import annotations

from html import escape

from openams.headend.report import charts
from openams.headend.report.model import Course, Figure, Report
from openams.meter_time import NORWAY

_STYLE = """
:root { color-scheme: light }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 46rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
figure { margin: 1.4rem 0; break-inside: avoid }
figcaption { font-weight: 600; margin-bottom: .4rem }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif }
.own { fill: #0b5394 } .nation { fill: #b7b7b7 } .grid { stroke: #ddd }
.note { color: #555; font-size: .87rem; margin: .3rem 0 }
.key span { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em }
table { border-collapse: collapse; font-size: .87rem; width: 100% }
th, td { border-bottom: 1px solid #ddd; padding: .2rem .5rem; text-align: right }
th:first-child, td:first-child { text-align: left }
details summary { cursor: pointer; color: #555; font-size: .87rem }
@page { size: A4; margin: 16mm }
@media print { body { margin: 0; max-width: none } details { display: none }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact } }
"""


def html(report: Report) -> str:
    at = report.at.astimezone(NORWAY).strftime("%Y-%m-%d %H:%M")
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>AMS report: {escape(report.company)}</title><style>{_STYLE}</style>",
        f"<h1>AMS report: {escape(report.company)}</h1>",
        f"<p class=note>{report.first} to {report.last}, as of {at}</p>",
        "<p class='note key'><span style='background:#0b5394'></span>the company"
        "<span style='background:#b7b7b7'></span>Norway</p>",
        "<h2>The chain</h2>",
        *(_course(one) for one in report.courses),
        *(_figure(one) for one in report.own),
        "<h2>The regulator's figures</h2>",
        *(_figure(one) for one in report.regulator),
    ]
    if report.missing:
        items = "".join(f"<li>{escape(text)}</li>" for text in report.missing)
        parts.append(f"<h2>What could not be said</h2><ul>{items}</ul>")
    return "\n".join(parts) + "\n"


def _figure(figure: Figure) -> str:
    title = f"Figure {figure.number}. {figure.title}" if figure.number else figure.title
    counted = figure.whole is not None and figure.unit != "companies"
    said = (
        f"Of {figure.whole:,.0f} {figure.unit}" if counted else "",
        figure.note,
        f"Norway: {figure.source}" if figure.source else "",
    )
    note = escape(" ".join(f"{text.rstrip('.')}." for text in said if text))
    rows = "".join(
        f"<tr><td>{escape(row.label)}<td>{'–' if row.count is None else f'{row.count:,.0f}'}"
        f"<td>{charts.percent(row.share)}<td>{charts.percent(row.national)}"
        for row in figure.rows
    )
    return (
        f"<figure id={figure.key}><figcaption>{escape(title)}</figcaption>{charts.bars(figure)}"
        f"<p class=note>{note}</p><details><summary>Numbers</summary><table>"
        f"<tr><th>{escape(figure.unit)}<th>count<th>share<th>Norway{rows}</table></details></figure>"
    )


def _course(course: Course) -> str:
    head = "".join(f"<th>{escape(line.label)}" for line in course.lines)
    rows = "".join(
        f"<tr><td>{day}" + "".join(f"<td>{charts.percent(line.values[k])}" for line in course.lines)
        for k, day in enumerate(course.days)
    )
    return (
        f"<figure id={course.key}><figcaption>{escape(course.title)}</figcaption>"
        f"{charts.course(course)}<p class=note>{escape(course.note)}</p><details><summary>Numbers"
        f"</summary><table><tr><th>day{head}{rows}</table></details></figure>"
    )
