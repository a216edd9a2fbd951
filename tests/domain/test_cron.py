"""When a schedule was last due, and which slot a late run stands for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect._vendor.croniter import croniter

from cornerman.domain.cron import latest_slot, schedule_key

HALF_HOURS = "*/30 * * * *"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "moment", "slot"),
    [
        (HALF_HOURS, "2026-03-01T10:29:59", "2026-03-01T10:00"),
        (HALF_HOURS, "2026-03-01T10:30:00", "2026-03-01T10:30"),
        ("0 2 * * *", "2026-03-01T01:59", "2026-02-28T02:00"),
        ("15 3 * * mon-fri", "2026-03-01T12:00", "2026-02-27T03:15"),
        ("0 0 1 jan *", "2026-03-01T12:00", "2026-01-01T00:00"),
        ("0 0 29 2 *", "2026-03-01T12:00", "2024-02-29T00:00"),
        # Both days restricted: either one is enough.
        ("0 0 13 * fri", "2026-03-10T12:00", "2026-03-06T00:00"),
        ("0 12 * * 7", "2026-03-02T00:00", "2026-03-01T12:00"),
        ("5/20 * * * *", "2026-03-01T10:50", "2026-03-01T10:45"),
    ],
)
def test_the_last_time_that_a_schedule_was_due(cron: str, moment: str, slot: str) -> None:
    assert latest_slot(cron, at(moment)) == at(slot)


def test_a_day_that_never_comes_is_never_due() -> None:
    assert latest_slot("0 0 31 2 *", at("2026-03-01T00:00")) is None


@given(
    st.sampled_from(
        [HALF_HOURS, "7 * * * *", "17 2 * * *", "0 9-17/2 * * 1-5", "3,33 4 1,15 * *", "0 0 * 2 *"]
    ),
    st.datetimes(datetime(2020, 1, 1), datetime(2039, 1, 1)),
)
def test_prefect_s_own_cron_says_the_same(cron: str, moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC, second=0, microsecond=0)
    expected = croniter(cron, moment + timedelta(minutes=1)).get_prev(datetime)
    assert latest_slot(cron, moment) == expected


def test_daylight_saving_moves_no_slot() -> None:
    # The night on which Berlin's clocks go back: 02:30 comes twice there, in UTC once each.
    summer, winter = timezone(timedelta(hours=2)), timezone(timedelta(hours=1))
    first = datetime(2026, 10, 25, 2, 30, tzinfo=summer)
    second = datetime(2026, 10, 25, 2, 30, tzinfo=winter)
    keys = [schedule_key(HALF_HOURS, moment, moment) for moment in (first, second)]
    assert keys == ["schedule:2026-10-25T00:30Z", "schedule:2026-10-25T01:30Z"]


def test_a_run_on_time_stands_for_its_own_slot() -> None:
    key = schedule_key(HALF_HOURS, at("2026-03-01T10:30"), at("2026-03-01T10:30:04"))
    assert key == "schedule:2026-03-01T10:30Z"


def test_runs_that_were_missed_all_stand_for_the_slot_they_start_in() -> None:
    missed = [at(f"2026-03-01T0{hour}:30") for hour in range(1, 9)]
    keys = {schedule_key(HALF_HOURS, slot, at("2026-03-01T09:12")) for slot in missed}
    assert keys == {"schedule:2026-03-01T09:00Z"}


def test_a_retry_keeps_the_slot_of_its_first_start() -> None:
    first_start = at("2026-03-01T10:30:05")
    before = schedule_key(HALF_HOURS, at("2026-03-01T10:30"), first_start)
    # It is half past eleven by now, but what counts is when it first started.
    assert schedule_key(HALF_HOURS, at("2026-03-01T10:30"), first_start) == before


def test_a_schedule_made_by_hand_has_its_own_times_as_slots() -> None:
    key = schedule_key("0 2 * * *", at("2026-03-01T10:17"), at("2026-03-01T10:17:03"))
    assert key == "schedule:2026-03-01T10:17Z"
