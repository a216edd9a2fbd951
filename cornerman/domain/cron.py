"""When a cron expression was last due, in UTC, which knows no daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# 29 February of a given weekday comes back after 28 years, or 40 around a century.
_LONGEST_DAYS = 366 * 41


def latest_slot(cron: str, moment: datetime) -> datetime | None:
    """The last time at or before `moment` at which the schedule was due; None when there is none.

    Args:
        cron: Five fields as in cron(5), checked already.
        moment: With a time zone.
    """
    minutes, hours, days, months, weekdays = _fields(cron)
    last = moment.astimezone(UTC).replace(second=0, microsecond=0)
    # cron(5): when both days are restricted, either one is enough.
    either = not cron.split()[2].startswith("*") and not cron.split()[4].startswith("*")
    day = last
    for _ in range(_LONGEST_DAYS):
        by_date, by_weekday = day.day in days, day.isoweekday() % 7 in weekdays
        fits = (by_date or by_weekday) if either else (by_date and by_weekday)
        if day.month in months and fits:
            for hour in sorted(hours, reverse=True):
                for minute in sorted(minutes, reverse=True):
                    slot = day.replace(hour=hour, minute=minute)
                    if slot <= last:
                        return slot
        day -= timedelta(days=1)
    return None


def _fields(cron: str) -> list[set[int]]:
    minute, hour, day, month, weekday = cron.lower().split()
    weekdays = _values(weekday, 0, 7, _WEEKDAYS)
    return [
        _values(minute, 0, 59, ()),
        _values(hour, 0, 23, ()),
        _values(day, 1, 31, ()),
        _values(month, 1, 12, _MONTHS),
        {number % 7 for number in weekdays},
    ]


def _values(field: str, low: int, high: int, names: tuple[str, ...]) -> set[int]:
    found = set[int]()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if span == "*":
            first, last = low, high
        else:
            ends = [_number(end, names, low) for end in span.split("-")]
            first, last = ends[0], ends[-1]
            if slash and len(ends) == 1:
                last = high
        found |= set(range(first, last + 1, int(step) if slash else 1))
    return found


def _number(text: str, names: tuple[str, ...], first: int) -> int:
    return names.index(text) + first if text in names else int(text)


def schedule_key(cron: str, scheduled: datetime, started: datetime | None) -> str:
    """The name of the slot that a scheduled run stands for.

    Runs that could not start in their own slot, because everything was down, all stand for the
    slot in which they do start: so what was missed runs once. A retry keeps its first start, and
    with it its slot.

    Args:
        scheduled: When the run was to start.
        started: When it first started; None when it has not.
    """
    moment = max(scheduled, started) if started is not None else scheduled
    slot = latest_slot(cron, moment)
    # A schedule that was made by hand need not fit the cron: then its own time is its slot.
    known = scheduled if slot is None or slot < scheduled else slot
    return f"schedule:{known.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
