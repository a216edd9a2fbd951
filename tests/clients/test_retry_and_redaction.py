from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random

import pytest

from cornerman.clients.retry import parse_retry_after, wait_seconds
from cornerman.domain.secrets import Redactor

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        ("0.5", 0.5),
        (" 2 ", 2.0),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Fri, 31 Feb 2027 99:99:99 GMT", None),
    ],
)
def test_reads_seconds_and_ignores_nonsense(value: str, seconds: float | None):
    assert parse_retry_after({"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize(("ahead", "seconds"), [(30, 30.0), (-30, 0.0)])
def test_reads_dates(ahead: int, seconds: float):
    date = format_datetime(datetime.fromtimestamp(NOW + ahead, UTC), usegmt=True)
    assert parse_retry_after({"retry-after": date}, NOW) == seconds


def test_never_waits_less_than_asked():
    assert all(2 <= wait_seconds(1, 2.0, Random(n)) <= 2.2 for n in range(100))


def test_backs_off_with_full_jitter_up_to_a_ceiling():
    waits = [[wait_seconds(attempt, None, Random(n)) for n in range(200)] for attempt in (1, 3, 20)]
    assert [max(w) <= ceiling for w, ceiling in zip(waits, (0.5, 2, 20), strict=True)] == [True] * 3
    assert min(waits[2]) < 2 and max(waits[2]) > 18


def test_hides_a_secret_that_the_cut_would_have_halved():
    redactor = Redactor("sk-secret-0123456789")
    assert "sk-" not in redactor.error("x" * 495 + "sk-secret-0123456789")
    assert redactor.error("Authorization: Bearer abc.def") == "Authorization: Bearer ***"


def test_leaves_words_alone_that_a_short_key_happens_to_be():
    assert Redactor("test").text("a test") == "a test"
    assert Redactor(None, "").error("plain") == "plain"
