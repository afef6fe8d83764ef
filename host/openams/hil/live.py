"""A HAN port that speaks by itself: a meter in a scenario, played by a thread."""

from __future__ import annotations

import threading
from pathlib import Path

from openams.bench.options import Options, check
from openams.bench.session import Session
from openams.grid.registry import load
from openams.hil.options import MeterOptions
from openams.lines.hanline import HanLine
from openams.meter_time import parse_start


class LivePort:
    """As `ams run --han-open`, until `close`."""

    def __init__(self, folder: Path, runtime: str, asked: MeterOptions) -> None:
        scenario = load(asked.scenario, None if Path(asked.scenario).is_file() else asked.system)
        options = Options(
            runtime=runtime,
            han_format=asked.han_format,
            han_variant=asked.han_variant,
            han_options=dict(asked.han_options),
            han_summer_time=asked.han_summer_time,
            han_open=asked.han_open,
            quirk=asked.quirk,
            seed=asked.seed,
            meter_id=asked.meter_id,
            start=parse_start(asked.start) if asked.start else None,
            speed=asked.speed,
        )
        check(options, scenario)
        self._line = HanLine(folder / "han", asked.speed)
        self.path = self._line.link
        self._failure: Exception | None = None
        try:
            self._session = Session(scenario, options, self._line)
        except BaseException:
            self._line.close()
            raise
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        try:
            self._session.play(lambda: None)
        except Exception as error:
            self._failure = error

    def close(self) -> None:
        """Raises what ended the meter before its time."""
        self._session.cancel()
        self._thread.join(timeout=10)
        self._session.close()
        self._line.close()
        if self._failure:
            raise self._failure
