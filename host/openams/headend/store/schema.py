"""The schema of a store, brought to this version's when it is opened.

Alembic does it, from `openams/headend/migrations`; it is imported only where something is to do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from openams.errors import BenchError
from openams.headend.store.errors import StoreError

if TYPE_CHECKING:
    from openams.headend.store.core import Database

PLACE = Path(__file__).resolve().parents[1] / "migrations"


def versions() -> list[str]:
    """Numbers of all migrations, in order."""
    found = (re.match(r"(\d{4})_\w+\.py$", path.name) for path in (PLACE / "versions").iterdir())
    return sorted(match[1] for match in found if match)


def migrate(database: Database) -> None:
    """Brings the tables to the newest version. One process does it, the others wait."""
    if _version(database) == versions()[-1]:
        return
    try:
        import sqlalchemy
        from alembic import command
        from alembic.config import Config
    except ImportError:
        raise BenchError(
            "the head-end needs alembic: install it with pip install 'openams-meter[headend]'"
        ) from None
    with database.migrating():
        there = _version(database)
        if there is not None and there not in versions():
            raise BenchError(
                f"{database.name} is of a newer version ({there}): use that version of OpenAMS"
            )
        driver = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}[database.dialect]
        engine = sqlalchemy.create_engine(f"{driver}://", creator=database.another)
        config = Config()
        # A per cent sign would be the begin of a name in it.
        config.set_main_option("script_location", str(PLACE).replace("%", "%%"))
        try:
            with engine.begin() as connection:
                if database.dialect == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except sqlalchemy.exc.SQLAlchemyError as error:
            words = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise StoreError(f"cannot make the tables of {database.name}: {words}") from None
        finally:
            engine.dispose()


def _version(database: Database) -> str | None:
    """The version of a store; None of an empty one."""
    there = (
        "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
        if database.dialect == "sqlite"
        else "SELECT to_regclass('alembic_version')::text"
    )
    rows, _ = database.execute(there)
    if not rows or rows[0][0] is None:
        return None
    rows, _ = database.execute("SELECT version_num FROM alembic_version")
    return str(rows[0][0]) if rows else None
