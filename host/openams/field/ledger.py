"""The ledger: what each meter truly counted, every fault and every power cut, in one SQLite file.

It is written by the field and by nobody else, and no head-end may read it: it is what their
figures are held against. Energies are those of the house, integrated beside the firmware.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.field.faults import Fault
from openams.field.meters import FieldPlan, MeterSpec
from openams.meter_time import NORWAY, from_utc_ms, to_utc_ms

QUARTER_MS = 900_000
UWS_PER_MWH = 3_600_000
_VERSION = 1
_APPLICATION = 0x4F414D4C
# A day is one of local time: 92, 96 or 100 quarters, each import less export in uWs (mW times ms).
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meter (meter_id TEXT PRIMARY KEY, spec TEXT NOT NULL, begin_ms INTEGER NOT NULL,
    replaces TEXT) WITHOUT ROWID;
CREATE TABLE day (meter_id TEXT NOT NULL, day TEXT NOT NULL, begin_ms INTEGER NOT NULL,
    import_uws INTEGER NOT NULL, export_uws INTEGER NOT NULL, quarters BLOB NOT NULL,
    PRIMARY KEY (meter_id, day)) WITHOUT ROWID;
CREATE TABLE fault (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, cause TEXT NOT NULL,
    begin_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, detail TEXT NOT NULL,
    ordered INTEGER NOT NULL);
CREATE TABLE fault_meter (fault INTEGER NOT NULL, meter_id TEXT NOT NULL,
    PRIMARY KEY (meter_id, fault)) WITHOUT ROWID;
CREATE TABLE power_cut (meter_id TEXT NOT NULL, begin_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
    kind TEXT NOT NULL, PRIMARY KEY (meter_id, begin_ms)) WITHOUT ROWID;
CREATE TABLE register (meter_id TEXT NOT NULL, utc_ms INTEGER NOT NULL,
    import_mwh INTEGER NOT NULL, export_mwh INTEGER NOT NULL,
    true_import_mwh INTEGER NOT NULL, true_export_mwh INTEGER NOT NULL,
    PRIMARY KEY (meter_id, utc_ms)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class TrueDay:
    """A meter's local day. `import_uws`, `export_uws`: since it was put up, at the day's begin;
    `quarters`: import less export of each, uWs; from its first if it was put up within the day."""

    meter_id: str
    day: date
    begin_ms: int
    import_uws: int
    export_uws: int
    quarters: tuple[int, ...]

    def intervals(self, minutes: int) -> list[dict[str, Any]]:
        """(begin, import and export in mWh) of each interval, as differences of registers."""
        count = minutes * 60_000 // QUARTER_MS
        drawn = [self.import_uws, self.export_uws]
        out = []
        # Whole hours of UTC are whole hours of Norway.
        at = self.begin_ms
        for k, net in enumerate(self.quarters):
            if k == 0 or at // QUARTER_MS % count == 0:
                before = [value // UWS_PER_MWH for value in drawn]
                out.append({"begin_ms": at, "import_mwh": 0, "export_mwh": 0})
            drawn[net < 0] += abs(net)
            out[-1]["import_mwh"] = drawn[0] // UWS_PER_MWH - before[0]
            out[-1]["export_mwh"] = drawn[1] // UWS_PER_MWH - before[1]
            at += QUARTER_MS
        return out

    @property
    def wh(self) -> tuple[int, int]:
        """Import and export of the day: difference of the registers in whole Wh."""
        ends = [self.import_uws, self.export_uws]
        for net in self.quarters:
            ends[net < 0] += abs(net)
        per = 1000 * UWS_PER_MWH
        return ends[0] // per - self.import_uws // per, ends[1] // per - self.export_uws // per


def local_day(utc_ms: int) -> tuple[date, int, int]:
    """The Norwegian day of a time, with its begin and end."""
    begin = (
        from_utc_ms(utc_ms).astimezone(NORWAY).replace(hour=0, minute=0, second=0, microsecond=0)
    )
    return begin.date(), to_utc_ms(begin), to_utc_ms(begin + timedelta(days=1))


class Ledger:
    """Of one field, to be written or read. `create`: made for a field, or gone on with."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database

    @classmethod
    def create(cls, path: Path, plan: FieldPlan, about: Mapping[str, Any]) -> Ledger:
        """A new file, or the one of the same field. BenchError for another's; nothing changes."""
        run = {name: json.dumps(value, sort_keys=True) for name, value in about.items()}
        run["seed"] = json.dumps(plan.seed)
        run["begin_ms"] = json.dumps(plan.begin_ms)
        if path.exists() and path.stat().st_size:
            ledger = cls.open(path)
            now = ledger.run()
            for name, value in run.items():
                if name in now and json.dumps(now[name], sort_keys=True) != value:
                    ledger.close()
                    raise BenchError(
                        f"{path} is the ledger of another field (its {name} differ): "
                        "name another with --ledger"
                    )
            if set(ledger.meters()) - _replacing(ledger) != {m.meter_id for m in plan.meters}:
                ledger.close()
                raise BenchError(
                    f"{path} is the ledger of another field (other meters): "
                    "name another with --ledger"
                )
            return ledger
        ledger = cls(path, _connect(path))
        try:
            with ledger.changing() as database:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.executemany("INSERT INTO run VALUES (?, ?)", run.items())
                for meter in plan.meters:
                    ledger.add_meter(meter, plan.begin_ms)
        except BenchError:
            ledger.close()
            path.unlink(missing_ok=True)
            raise
        return ledger

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """One that is there. BenchError for what is none."""
        if not path.is_file():
            raise BenchError(f"there is no ledger {path}: make one with ams field run --ledger")
        database = _connect(path)
        try:
            application = database.execute("PRAGMA application_id").fetchone()[0]
            version = database.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise BenchError(f"{path} is no ledger of a field: {error}") from None
        if application != _APPLICATION:
            raise BenchError(f"{path} is no ledger of a field")
        if version != _VERSION:
            raise BenchError(f"{path} is a ledger of another version")
        return cls(path, database)

    def close(self) -> None:
        self._database.close()

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Whole, or not at all. Several processes write one ledger: each waits for its turn."""
        if self._database.in_transaction:
            yield self._database
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise BenchError(f"cannot write {self.path}: {_help(error)}") from None
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    # --- written by the field ----------------------------------------------------------

    def add_meter(self, spec: MeterSpec, begin_ms: int, replaces: str | None = None) -> None:
        with self.changing() as database:
            row = (spec.meter_id, json.dumps(asdict(spec)), begin_ms, replaces)
            database.execute("INSERT OR IGNORE INTO meter VALUES (?, ?, ?, ?)", row)

    def add_faults(self, faults: Iterable[Fault], ordered: bool = False) -> None:
        with self.changing() as database:
            for fault in faults:
                row = (fault.kind, fault.cause, fault.begin_ms, fault.end_ms, fault.detail, ordered)
                number = database.execute(
                    "INSERT INTO fault (kind, cause, begin_ms, end_ms, detail, ordered) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    row,
                ).lastrowid
                database.executemany(
                    "INSERT INTO fault_meter VALUES (?, ?)",
                    ((number, meter_id) for meter_id in fault.meters),
                )

    def add_days(self, days: Iterable[TrueDay]) -> None:
        with self.changing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO day VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (
                        entry.meter_id,
                        entry.day.isoformat(),
                        entry.begin_ms,
                        entry.import_uws,
                        entry.export_uws,
                        zlib.compress(struct.pack(f"<{len(entry.quarters)}q", *entry.quarters)),
                    )
                    for entry in days
                ),
            )

    def add_power_cuts(self, cuts: Iterable[tuple[str, int, int, str]]) -> None:
        """(meter, begin, end, kind) of each."""
        with self.changing() as database:
            database.executemany("INSERT OR REPLACE INTO power_cut VALUES (?, ?, ?, ?)", cuts)

    def add_registers(self, rows: Iterable[tuple[str, int, int, int, int, int]]) -> None:
        """(meter, time, import and export that it shows, and those that are true), mWh."""
        with self.changing() as database:
            database.executemany("INSERT OR REPLACE INTO register VALUES (?, ?, ?, ?, ?, ?)", rows)

    # --- read ----------------------------------------------------------------------------

    def _rows(self, question: str, *values: Any) -> list[Any]:
        try:
            return self._database.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise BenchError(f"cannot read {self.path}: {error}") from None

    def run(self) -> dict[str, Any]:
        return {name: json.loads(value) for name, value in self._rows("SELECT * FROM run")}

    def meters(self) -> list[str]:
        return [row[0] for row in self._rows("SELECT meter_id FROM meter ORDER BY meter_id")]

    def spec(self, meter_id: str) -> MeterSpec:
        rows = self._rows("SELECT spec FROM meter WHERE meter_id = ?", meter_id)
        if not rows:
            raise BenchError(f"{self.path} has no meter {meter_id}")
        return MeterSpec(**json.loads(rows[0][0]))

    def replaced(self) -> dict[str, str]:
        """Old meter -> the one in its place."""
        rows = self._rows("SELECT replaces, meter_id FROM meter WHERE replaces IS NOT NULL")
        return dict(rows)

    def day(self, meter_id: str, day: date) -> TrueDay:
        rows = self._rows(
            "SELECT * FROM day WHERE meter_id = ? AND day = ?", meter_id, day.isoformat()
        )
        if not rows:
            raise BenchError(f"{self.path} has no day {day} of meter {meter_id}")
        return _day(rows[0])

    def days(self, meter_id: str | None = None) -> Iterator[TrueDay]:
        """All there are, of one meter or of all, in order."""
        where, values = ("WHERE meter_id = ?", (meter_id,)) if meter_id else ("", ())
        for row in self._rows(f"SELECT * FROM day {where} ORDER BY meter_id, day", *values):
            yield _day(row)

    def faults(self, meter_id: str | None = None) -> list[Fault]:
        """In order of their begin."""
        of: dict[int, list[str]] = {}
        for number, meter in self._rows(
            "SELECT fault, meter_id FROM fault_meter ORDER BY meter_id"
        ):
            of.setdefault(number, []).append(meter)
        out = []
        for number, *rest, _ in self._rows("SELECT * FROM fault ORDER BY begin_ms, id"):
            meters = tuple(of.get(number, ()))
            if meter_id is None or meter_id in meters:
                kind, cause, begin_ms, end_ms, detail = rest
                out.append(Fault(kind, cause, begin_ms, end_ms, meters, detail))
        return out

    def power_cuts(self, meter_id: str) -> list[tuple[int, int, str]]:
        return self._rows(
            "SELECT begin_ms, end_ms, kind FROM power_cut WHERE meter_id = ? ORDER BY begin_ms",
            meter_id,
        )

    def registers(self) -> list[dict[str, Any]]:
        """The last ones of each meter: what it showed, and the truth."""
        names = ("meter_id", "utc_ms", "import_mwh", "export_mwh", "true_import_mwh",
                 "true_export_mwh")  # fmt: skip
        rows = self._rows("SELECT *, max(utc_ms) FROM register GROUP BY meter_id ORDER BY meter_id")
        return [dict(zip(names, row, strict=False)) for row in rows]

    def differing(self) -> list[dict[str, Any]]:
        """Meters whose registers are not what the house drew, to the Wh."""
        out = []
        for row in self.registers():
            shown = row["import_mwh"] // 1000, row["export_mwh"] // 1000
            if shown != (row["true_import_mwh"] // 1000, row["true_export_mwh"] // 1000):
                out.append(row)
        return out

    def dump(self) -> list[str]:
        """All that it says, in an order of its own: two runs of one seed say the same."""
        out = []
        for table in ("run", "meter", "day", "power_cut", "register"):
            out += sorted(f"{table} {row}" for row in self._rows(f"SELECT * FROM {table}"))
        return out + [f"fault {fault}" for fault in sorted(self.faults(), key=repr)]


def _connect(path: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
        database.execute("PRAGMA synchronous = NORMAL")
        return database
    except sqlite3.Error as error:
        raise BenchError(f"cannot use {path}: {_help(error)}") from None


def _replacing(ledger: Ledger) -> set[str]:
    return set(ledger.replaced().values())


def _day(row: Any) -> TrueDay:
    data = zlib.decompress(row[5])
    quarters = struct.unpack(f"<{len(data) // 8}q", data)
    return TrueDay(row[0], date.fromisoformat(row[1]), row[2], row[3], row[4], quarters)


def _help(error: sqlite3.Error) -> str:
    text = str(error)
    if "full" in text or "I/O" in text:
        return f"{text}: make room and run again"
    if "unable to open" in text or "readonly" in text:
        return f"{text}: choose a place where you may write"
    if "not a database" in text:
        return f"{text}: it is no ledger of a field"
    return text


def parse_day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise BenchError(f"{text!r} is no day: write it like 2026-01-31") from None
