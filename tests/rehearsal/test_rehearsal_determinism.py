"""A reply depends on the request's content and the server's seed, and on nothing else."""

from __future__ import annotations

import random

from tests.rehearsal.rehearsal_client import Connection, reply

ROLES = ("agent", "persona", "referee", "optimizer", "judge", "scout", "generator")
NEGOTIATE = "You are the seller. The asking price is $480."


def test_equal_requests_get_equal_answers_in_any_order(endpoint: Connection):
    asked = [(role, f"Hello {n}, I offer ${n * 30}.") for role in ROLES for n in range(1, 6)]
    first = {pair: endpoint.chat(NEGOTIATE, pair[1], pair[0], seed=7) for pair in asked}
    random.Random(1).shuffle(asked)
    assert all(endpoint.chat(NEGOTIATE, p[1], p[0], seed=7) == first[p] for p in asked)


def test_at_temperature_zero_the_seed_changes_nothing():
    answers = {reply("persona", NEGOTIATE, "Hi", seed=s, temperature=0.0) for s in range(20)}
    assert len(answers) == 1


def test_with_a_temperature_the_seed_varies_the_answer():
    answers = {reply("persona", NEGOTIATE, "Hi", seed=s, temperature=0.7) for s in range(20)}
    assert len(answers) > 1


def test_the_servers_seed_varies_the_answer():
    answers = {reply("generator", "", "3 personas", server_seed=s) for s in range(5)}
    assert len(answers) == 5
