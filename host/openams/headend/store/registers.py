"""The register in the store: taken in whole or not at all, every change of a row kept."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import Any

from openams.headend import register
from openams.headend.days import day_bounds, day_number
from openams.headend.register import (
    KEYS,
    Access,
    Area,
    ConcentratorRow,
    Fault,
    MeterRow,
    Relation,
    Tables,
    Terms,
)
from openams.headend.store.core import Core

# Of each part of the register: its table, its rows' type, the columns of its key.
_TABLES: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    "areas": ("area", Area, ("code",)),
    "terms": ("terms", Terms, ("gsrn", "from_day")),
    "concentrators": ("concentrator", ConcentratorRow, ("concentrator_id",)),
    "meters": ("meter", MeterRow, ("meter_id",)),
    "relations": ("relation", Relation, ("gsrn", "from_ms")),
    "access": ("access", Access, ("who", "scope", "target", "from_ms")),
}
# So many rows at most come in beside those that they could contradict, and not beside all.
_FEW = 1000
_RELATION = ", ".join(Relation._fields)
_TERMS = ", ".join(Terms._fields)


class RegisterStore(Core):
    def register(self) -> Tables:
        """All of it."""
        out = Tables()
        for name in _TABLES:
            setattr(out, name, self._rows(name, "", ()))
        return out

    def import_register(self, new: Tables, at_ms: int, who: str = "") -> list[Fault]:
        """Takes rows in, unless the register would contradict itself: then it says how.

        A row with the key of one that is there takes its place; the old one is kept as a change.
        """
        with self.transaction():
            self.database.lock("register")
            old = self._beside(new) if sum(new.count().values()) <= _FEW else self.register()
            faults = register.contradictions(register.merged(old, new))
            if faults:
                return faults
            for name in KEYS:
                self._take(name, old, new, at_ms, who)
        return []

    def _beside(self, new: Tables) -> Tables:
        """Rows that are there with the keys of `new`, and all that those could contradict, with
        what these themselves hang on: what is left out contradicts nothing, as it did before."""
        meters = {row.meter_id for row in new.relations}
        points = {row.gsrn for row in new.terms} | {row.gsrn for row in new.relations}
        out = Tables(areas=self._rows("areas", "", ()))
        of_points = self._rows("relations", "gsrn", points)
        of_meters = self._rows("relations", "meter_id", meters)
        out.relations = list(dict.fromkeys([*of_points, *of_meters]))
        out.access = self._rows("access", "who", {row.who for row in new.access})
        points |= {row.gsrn for row in out.relations}
        points |= {row.target for row in (*new.access, *out.access)}
        out.terms = self._rows("terms", "gsrn", points)
        meters |= {row.meter_id for row in new.meters} | {row.meter_id for row in out.relations}
        doors = {row.concentrator_id for row in new.concentrators}
        of_ids = self._rows("meters", "meter_id", meters)
        behind = self._rows("meters", "concentrator", doors)
        out.meters = list(dict.fromkeys([*of_ids, *behind]))
        doors |= {row.concentrator for row in (*new.meters, *out.meters)}
        out.concentrators = self._rows("concentrators", "concentrator_id", doors)
        return out

    def _rows(self, name: str, column: str, keys: Collection[str]) -> list[Any]:
        """Of one part of the register, those with such a key; without a column all."""
        table, make, _ = _TABLES[name]
        sql = f"SELECT {', '.join(make._fields)} FROM {table}"
        if column:
            found = self.by_key(f"{sql} WHERE {column} IN (?*)", sorted(keys))
        else:
            found = iter(self.all(sql))
        return [make(*row) for row in found]

    def _take(self, name: str, old: Tables, new: Tables, at_ms: int, who: str) -> None:
        table, make, key = _TABLES[name]
        before = {KEYS[name](row): row for row in getattr(old, name)}
        rows = [row for row in getattr(new, name) if before.get(KEYS[name](row)) != row]
        fresh = [row for row in rows if KEYS[name](row) not in before]
        changed = [row for row in rows if KEYS[name](row) in before]
        self.put_rows(table, make._fields, fresh)
        rest = [column for column in make._fields if column not in key]
        places = [make._fields.index(column) for column in (*rest, *key)]
        self.many(
            f"UPDATE {table} SET {', '.join(f'{column} = ?' for column in rest)} "
            f"WHERE {' AND '.join(f'{column} = ?' for column in key)}",
            [[row[place] for place in places] for row in changed],
        )
        self.put_rows(
            "register_change",
            ("at_ms", "who", "row_table", "before", "after"),
            [(at_ms, who, table, _json(before.get(KEYS[name](row))), _json(row)) for row in rows],
        )

    # --- points ----------------------------------------------------------------------------

    def terms(self, gsrn: str, day: date) -> Terms | None:
        number = day_number(day)
        row = self.one(
            f"SELECT {_TERMS} FROM terms WHERE gsrn = ? AND from_day <= ? "
            "AND (to_day IS NULL OR to_day > ?)",
            gsrn, number, number,
        )  # fmt: skip
        return Terms(*row) if row else None

    def all_terms(
        self, day: date, settlement: str | None = None, area: str | None = None
    ) -> Iterator[Terms]:
        """Of all points of a local day, in order."""
        sql = f"SELECT {_TERMS} FROM terms WHERE from_day <= ? AND (to_day IS NULL OR to_day > ?)"
        params: list[Any] = [day_number(day)] * 2
        for column, wanted in (("settlement", settlement), ("area", area)):
            if wanted is not None:
                sql += f" AND {column} = ?"
                params.append(wanted)
        return (Terms(*row) for row in self.all(f"{sql} ORDER BY gsrn", *params))

    def terms_of(self, day: date, gsrns: Sequence[str]) -> Iterator[Terms]:
        """Of some points of a local day, in order."""
        number = day_number(day)
        rows = self.by_key(
            f"SELECT {_TERMS} FROM terms WHERE from_day <= ? AND (to_day IS NULL OR to_day > ?) "
            "AND gsrn IN (?*)",
            gsrns,
            number,
            number,
        )
        return (Terms(*row) for row in sorted(rows))

    # --- meters ----------------------------------------------------------------------------

    def meters(self) -> list[MeterRow]:
        return [MeterRow(*row) for row in self.all(
            f"SELECT {', '.join(MeterRow._fields)} FROM meter ORDER BY meter_id"
        )]  # fmt: skip

    def meter(self, meter_id: str) -> MeterRow | None:
        row = self.one(
            f"SELECT {', '.join(MeterRow._fields)} FROM meter WHERE meter_id = ?", meter_id
        )
        return MeterRow(*row) if row else None

    def meters_of(self, meter_ids: Sequence[str]) -> list[MeterRow]:
        return [MeterRow(*row) for row in self.by_key(
            f"SELECT {', '.join(MeterRow._fields)} FROM meter WHERE meter_id IN (?*)", meter_ids
        )]  # fmt: skip

    def concentrators(self) -> list[ConcentratorRow]:
        return [ConcentratorRow(*row) for row in self.all(
            "SELECT concentrator_id, net, url FROM concentrator ORDER BY concentrator_id"
        )]  # fmt: skip

    def relations(
        self,
        begin_ms: int,
        end_ms: int,
        gsrns: Sequence[str] | None = None,
        meter_id: str | None = None,
        meter_ids: Sequence[str] | None = None,
    ) -> list[Relation]:
        """Those that were in force at any moment of a time (its end exclusive), in order."""
        sql = f"SELECT {_RELATION} FROM relation WHERE from_ms < ? AND (to_ms IS NULL OR to_ms > ?)"
        if gsrns is not None:
            rows = list(self.by_key(f"{sql} AND gsrn IN (?*)", gsrns, end_ms, begin_ms))
        elif meter_ids is not None:
            rows = list(self.by_key(f"{sql} AND meter_id IN (?*)", meter_ids, end_ms, begin_ms))
        elif meter_id is not None:
            rows = self.all(f"{sql} AND meter_id = ?", end_ms, begin_ms, meter_id)
        else:
            rows = self.all(sql, end_ms, begin_ms)
        return sorted(Relation(*row) for row in rows)

    def relations_of_day(self, day: date, gsrns: Sequence[str] | None = None) -> list[Relation]:
        return self.relations(*day_bounds(day), gsrns=gsrns)

    # --- who may see what --------------------------------------------------------------------

    def visible(
        self, who: str, what: str, gsrn: str, begin_ms: int, end_ms: int
    ) -> list[tuple[int, int]]:
        """The parts of a time of a point that somebody may see of values, readings or events."""
        rows = self.all(f"SELECT {', '.join(Access._fields)} FROM access WHERE who = ?", who)
        if not rows:
            return []
        area = self.one("SELECT area FROM terms WHERE gsrn = ? ORDER BY from_day DESC", gsrn)
        grants = [Access(*row) for row in rows]
        return register.visible(grants, what, gsrn, area[0] if area else "", begin_ms, end_ms)


def _json(row: Any) -> str | None:
    return None if row is None else json.dumps(row._asdict())
