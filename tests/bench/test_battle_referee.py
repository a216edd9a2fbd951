"""The referee's bench on the real transcripts, with a stand-in that knows half of the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.referee import DATA, Judged, judge, read_samples, report
from tests.support.battle_arena import Arena
from tests.support.llm_standin import Reply


@pytest.fixture(scope="module")
def transcripts(shared_data: Path) -> Path:
    return shared_data / DATA


def test_reads_every_transcript_with_its_reward(transcripts: Path) -> None:
    samples = read_samples(transcripts)
    assert (len(samples), sum(sample.succeeded for sample in samples)) == (200, 84)
    assert all(sample.turns[0].speaker == "persona" for sample in samples)
    assert any(turn.tool_calls for turn in samples[0].turns)


async def test_judges_through_the_ledger(arena: Arena, transcripts: Path) -> None:
    names = ("right_changes", "policy_kept", "nothing_else")
    answer = {
        "score": 40,
        "sub_scores": [{"name": n, "score": 40, "turn": 0, "evidence": ""} for n in names],
        "persona_fidelity": 1,
        "outcome": "resolved",
        "rationale": "",
    }
    arena.script.override = lambda request, n: (
        Reply(text=json.dumps(answer)) if n % 2 else Reply(status=403)
    )
    judged = await judge(read_samples(transcripts, 6), budget_usd=1, concurrency=1)
    assert sorted(map(str, judged.scores)) == ["40.0"] * 3 + ["None"] * 3
    assert judged.cost_usd * 10**12 == pytest.approx(arena.check_books())
    assert not judged.simulated


def test_reports_auc_and_says_what_is_simulated(transcripts: Path) -> None:
    samples = read_samples(transcripts, 40)
    scores = [90.0 if sample.succeeded else 10.0 for sample in samples]
    said = report(samples, Judged([*scores[:-1], None], 0.1, "m", True, 1.0))
    assert "AUC 1.000" in said
    assert "scored 39, unscored 1" in said
    assert "SIMULATED" in said
    assert "| 80-100 |" in said
