"""Makes docs/live.svg: the live view of `make run` after some seconds, as rich draws it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.console import Console

from openams.bench.liveview import View
from openams.bench.options import Options
from openams.bench.session import Session
from openams.grid.registry import load
from openams.han.reader import FrameReader, format_reading
from openams.runtimes.wire import Frame

ROOT = Path(__file__).resolve().parents[1]
DAY = ROOT / "tests" / "data" / "kaifa_ma304h3e_2017-09-15.csv"


def main(seconds: float = 120.0) -> None:
    reader = FrameReader()
    options = Options(han_open=True, duration_s=seconds)
    readings: dict[int, str] = {}

    def on_frame(frame: Frame) -> None:
        for reading in reader.feed(frame.data):
            readings[reading.list_no] = format_reading(reading)

    session = Session(load(str(DAY)), options, None, on_frame)
    # Sampled, as at speed 1, but without waiting for the clock.
    options.speed = None
    view = View(session, ["/tmp/openams-1000/han"], "read it: ams han watch /tmp/openams-1000/han")
    view.page, view.keys = "http://127.0.0.1:8080/", "q ends the run"
    console = Console(record=True, width=118, height=21, force_terminal=True, file=sys.stderr)
    try:
        session.play(lambda: view.take(session.process.view()), every_s=0.01)
        view.take(session.process.view())
        view.last_readings = readings
        session.progress.wall_s = seconds
        console.print(view.render(console))
    finally:
        session.close()
    target = ROOT / "docs" / "live.svg"
    svg = console.export_svg(title="make run")
    # The picture must not fetch fonts from anywhere.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")
    target.write_text(svg)
    print(target)


if __name__ == "__main__":
    main()
