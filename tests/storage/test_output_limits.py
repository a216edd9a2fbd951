"""How long answers had to be allowed to be: kept by endpoint and model, the larger one."""

from __future__ import annotations

from cornerman.storage.database import Database
from cornerman.storage.output_limits import (
    raise_output_limit,
    read_output_limit,
    read_output_limits,
)


def test_the_larger_limit_stands_whoever_comes_last(db: Database) -> None:
    for tokens in (4_096, 16_384, 8_192):
        with db.writing() as session:
            raise_output_limit(session, "host/v1", "thinker", tokens)
    with db.writing() as session:
        raise_output_limit(session, "other/v1", "thinker", 5_000)
    with db.reading() as session:
        assert read_output_limit(session, "host/v1", "thinker") == 16_384
        assert read_output_limit(session, "host/v1", "plain") == 0
        assert read_output_limits(session, "other/v1") == {"thinker": 5_000}
