"""Messages of Elhub for tests: made by hypothesis, and one of each kind."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from openams.headend.elhub import model
from openams.headend.vee.calendar import starts

HUB, COMPANY, SUPPLIER = model.ELHUB, "7080000000012", "7080000000029"
POINTS = ("707057500022939815", "707057500022939822", "707057500022939839")
AT = datetime(2024, 5, 3, 4, 30, tzinfo=UTC)

uuids = st.uuids().map(str)
times = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)
)
days = st.dates(date(2020, 1, 1), date(2030, 1, 1)) | st.sampled_from(
    (date(2024, 3, 31), date(2024, 10, 27), date(2025, 3, 30), date(2025, 10, 26))
)
amounts = st.integers(0, 99_999_999) | st.sampled_from((0, 1, 999, 1000, 10**15 - 1))
v_codes = st.sampled_from(["V001", "V002", "V003", "V004", "V011", "V012", "V013", "V014", "V999"])
e_codes = st.sampled_from([f"E00{n}" for n in range(1, 9)])
quantities = st.one_of(
    st.tuples(amounts, st.just("measured"), st.none(), st.none()),
    st.tuples(amounts, st.sampled_from(("estimated", "final")), v_codes, e_codes),
    st.tuples(amounts, st.just("temporary"), v_codes, st.none() | e_codes),
).map(lambda fields: model.Quantity(*fields))


@st.composite
def headers(draw, what=model.INTERVAL_VOLUMES):
    confirm = draw(st.sampled_from((None, None, True, False)))
    return model.Header(draw(uuids), what, draw(times), SUPPLIER, COMPANY, HUB, confirm)


@st.composite
def series(draw, most=100):
    day, minutes = draw(days), draw(st.sampled_from((60, 15)))
    begins = starts(day, minutes)
    first = draw(st.integers(0, len(begins) - 1))
    count = draw(st.integers(1, min(most, len(begins) - first)))
    values = tuple(draw(st.lists(quantities, min_size=count, max_size=count)))
    return model.Series(
        draw(uuids),
        draw(times),
        draw(st.sampled_from(POINTS)),
        draw(st.sampled_from((model.IN, model.OUT, None))),
        begins[first],
        begins[first] + count * timedelta(minutes=minutes),
        "PT60M" if minutes == 60 else "PT15M",
        values,
        readings=draw(st.sampled_from(((None, None), (0, 1000), (1, None)))),
    )


@st.composite
def profiled(draw):
    begin = draw(times)
    return model.Series(
        draw(uuids), draw(times), POINTS[0], model.OUT, begin, begin + timedelta(days=31), None,
        readings=(draw(amounts), draw(amounts)),
        profiled=model.Profiled(
            draw(st.integers(-(10**9), 10**9)), draw(st.booleans()), draw(st.sampled_from("14"))
        ),
    )  # fmt: skip


def _distinct(found):
    return len({one.series_id for one in found}) == len(found)


collected = st.builds(
    model.CollectedData,
    headers() | headers(model.PERIOD_VOLUMES),
    st.lists(series(most=6) | profiled(), min_size=1, max_size=4).filter(_distinct).map(tuple),
)
reasons = st.sampled_from(
    [model.Code("E10", "260"), model.Code("E50", "260"), model.Code("EH066", "89")]
)
acknowledgements = st.builds(
    model.Acknowledgement,
    headers(model.ANSWER),
    st.sampled_from((model.ACCEPTED, model.REJECTED)),
    uuids,
    st.none() | uuids,
    st.lists(reasons, max_size=3).map(tuple),
)
reminders = st.builds(
    model.Reminder,
    headers(model.REMINDER),
    st.sampled_from(("IV", "PV", "MI", "EAC")),
    st.lists(
        st.builds(model.Missing, st.sampled_from(POINTS), times, times), min_size=1, max_size=3
    ).map(tuple),
)
polls = st.builds(model.PollForData, headers(model.POLL))
every = st.one_of(collected, acknowledgements, reminders, polls)


def numbered(start: int = 1):
    """UUIDs in turn: 00000000-0000-4000-8000-000000000001 ..."""
    count = start - 1

    def new_id() -> str:
        nonlocal count
        count += 1
        return str(UUID(int=(4 << 76) | (8 << 60) | count))

    return new_id


def one_of_each() -> list:
    """A small message of each kind."""
    new_id = numbered(500)
    begin = datetime(2024, 10, 27, 22, tzinfo=UTC)
    values = (
        model.Quantity(1, "measured"),
        model.Quantity(2, "estimated", "V002", "E001"),
        model.Quantity(3, "temporary", "V011"),
    )
    volumes = model.Series(
        new_id(), AT, POINTS[0], "Out", begin, begin + timedelta(hours=3), values=values
    )
    period = model.Series(
        new_id(), AT, POINTS[1], "Out", begin, begin + timedelta(days=30), None,
        readings=(1000, 5000), profiled=model.Profiled(4000),
    )  # fmt: skip

    def header(what):
        return model.Header(new_id(), what, AT, SUPPLIER, COMPANY, HUB)

    answer = (model.REJECTED, new_id(), new_id(), (model.Code("E10", "260"),))
    missing = (model.Missing(POINTS[0], begin, begin + timedelta(days=1)),)
    return [
        model.CollectedData(header(model.INTERVAL_VOLUMES), (volumes,)),
        model.CollectedData(header(model.PERIOD_VOLUMES), (period,)),
        model.Acknowledgement(header(model.ANSWER), *answer),
        model.Reminder(header(model.REMINDER), "IV", missing),
        model.PollForData(header(model.POLL)),
    ]
