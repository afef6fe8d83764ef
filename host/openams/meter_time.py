"""Between datetime and the meter's time: milliseconds since 2000-01-01T00:00:00Z."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from openams.errors import BenchError

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
NORWAY = ZoneInfo("Europe/Oslo")


def to_utc_ms(when: datetime) -> int:
    return (when - EPOCH) // timedelta(milliseconds=1)


def from_utc_ms(utc_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=utc_ms)


def local_text(utc_ms: int) -> str:
    """Norwegian time with its offset, as every time that is shown."""
    return from_utc_ms(utc_ms).astimezone(NORWAY).isoformat()


def parse_start(text: str) -> datetime:
    return parse_time("--start", text)


class SkippedTimeError(ValueError):
    """A local time that there never is, in words that follow the time itself."""

    def __str__(self) -> str:
        return (
            "does not exist in Norway: in that night the clock goes from 02:00 to 03:00 (if it is "
            "standard time all year, write it with +01:00)"
        )


def from_local(when: datetime, fold: int = 0) -> datetime:
    """UTC of a Norwegian local time without an offset.

    Of the hour that comes twice in autumn it is the first, or the second with `fold` 1. Of the
    hour that is left out in spring there is none: SkippedTimeError.
    """
    utc = when.replace(tzinfo=NORWAY, fold=fold).astimezone(UTC)
    if utc.astimezone(NORWAY).replace(tzinfo=None) != when.replace(tzinfo=None, fold=0):
        raise SkippedTimeError
    return utc


def parse_time(option: str, text: str) -> datetime:
    """An ISO time; without an offset it is Norwegian local time."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise BenchError(
            f"{option} {text!r} is no ISO time: write it like 2026-01-31T12:00:00 or ...+01:00"
        ) from None
    if when.tzinfo is None:
        try:
            when = from_local(when)
        except SkippedTimeError as error:
            raise BenchError(f"{option} {text} {error}") from None
        except OverflowError:
            pass
    if not 2000 <= when.year <= 2099:
        raise BenchError(f"{option} must lie in the years 2000 to 2099")
    return when.astimezone(UTC)


def parse_range(from_: str | None, to: str | None) -> tuple[datetime | None, datetime | None]:
    """`--from` and `--to`, which may be the same moment."""
    begin = parse_time("--from", from_) if from_ else None
    end = parse_time("--to", to) if to else None
    if begin and end and begin > end:
        raise BenchError(f"--from {from_} is after --to {to}: change them round")
    return begin, end
