"""What a chain shows while it runs: a picture that changes on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from openams.chain.course import Progress
from openams.headend.store import Store
from openams.headend.store.jobs import DAY
from openams.meter_time import NORWAY
from openams.progress import Steps
from openams.terminal import console

if TYPE_CHECKING:
    from rich.console import RenderableType

_SHOW_S = 0.5
_COLUMNS = ("day", "meters", "read", "waiting", "series", "with Elhub", "corrections")


class View:
    """Use as a context manager; `told` is for the course. All of it goes to the standard error."""

    def __init__(self) -> None:
        self._console = console(error=True)
        self._steps = Steps("chain")
        self._live: Any = None
        self._at = 0.0
        self._night = ""

    def __enter__(self) -> View:
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, transient=True, auto_refresh=False)
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
        self._steps.close()

    def told(self, progress: Progress, store: Store) -> None:
        if self._live is None:
            self._line(progress)
            return
        now = time.monotonic()
        if now - self._at >= _SHOW_S:
            self._at = now
            self._live.update(picture(progress, store), refresh=True)

    def _line(self, progress: Progress) -> None:
        """One for each morning, and what takes long."""
        local = progress.now.astimezone(NORWAY)
        day = local.date().isoformat()
        if local.hour >= 7 and day != self._night:
            self._night = day
            self._steps.note(f"chain: {local:%Y-%m-%d %H:%M} {counted(progress)}")
        self._steps.show(progress.doing.split(" 20")[0], round(100 * progress.share))


def counted(progress: Progress) -> str:
    sent = progress.delivered
    return (
        f"{progress.sessions} sessions, {progress.evaluated['values']} values, "
        f"{progress.evaluated['estimated']} estimated, {sent['messages']} messages, "
        f"{sent['corrections']} corrections"
    )


def picture(progress: Progress, store: Store) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    local = progress.now.astimezone(NORWAY)
    table = Table(*_COLUMNS, box=None, padding=(0, 2), title_justify="left")
    for row in rows(store):
        table.add_row(*row)
    causes = ", ".join(f"{count} {cause}" for cause, count in sorted(progress.causes.items()))
    return Group(
        Text(f"{local:%A %d %B %Y %H:%M}   {progress.doing}"),
        ProgressBar(total=1.0, completed=progress.share, width=60),
        table,
        Text(counted(progress)),
        Text(f"missing at seven, and why: {causes or 'nothing yet'}"),
    )


def rows(store: Store) -> list[tuple[str, ...]]:
    """Of each day that was planned, how far it is."""
    jobs: dict[int, dict[str, int]] = {}
    for day, state, count in store.all(
        "SELECT day, state, COUNT(*) FROM job WHERE kind = ? GROUP BY day, state", DAY
    ):
        jobs.setdefault(day, {})[state] = count
    sent = {day: (whole, parts) for day, whole, parts in store.all(
        "SELECT day, SUM(CASE WHEN intervals IS NULL THEN 1 ELSE 0 END), "
        "SUM(CASE WHEN intervals IS NULL THEN 0 ELSE 1 END) FROM delivery "
        "WHERE state IN ('sent', 'accepted') GROUP BY day"
    )}  # fmt: skip
    made = dict(store.all("SELECT day, COUNT(*) FROM value_day GROUP BY day"))
    out: list[tuple[str, ...]] = []
    for day, states in sorted(jobs.items())[-14:]:
        total, whole = sum(states.values()), states.get("complete", 0)
        there, parts = sent.get(day, (0, 0))
        text = str(day)
        out.append((
            f"{text[:4]}-{text[4:6]}-{text[6:]}", str(total), f"{100 * whole / total:.1f} %",
            str(total - whole), str(made.get(day, 0)), str(there), str(parts),
        ))  # fmt: skip
    return out
