"""Prompts that stayed as they were give no improvement, and few cases say what they can show."""

from __future__ import annotations

import pytest

from cornerman.domain.statistics import (
    FEWEST_TELLING_PAIRS,
    cases_for_gain,
    paired_improvement,
    too_few_words,
)
from cornerman.report.markdown import training_markdown
from cornerman.report.model import CandidateNode, TrainingSection
from cornerman.tasks.report_training import training_section
from tests.support.training import CLIMBING_AGENT, World, request_of

NEVER_BETTER = "async def agent(inputs, prompts, context): return 'no' + prompts['system'][:0]"


def _section(world: World, run_id: str) -> TrainingSection:
    with world.db.reading() as session:
        from cornerman.storage import runs

        run = runs.read_run(session, run_id)
        assert run is not None
        return training_section(session, run)


@pytest.mark.parametrize("agent", [NEVER_BETTER, CLIMBING_AGENT])
async def test_the_same_prompts_give_no_improvement(world: World, agent: str) -> None:
    result = await world.train(request_of(12, graph_config=world.agent(agent)))
    change = result["improvement"]
    assert (change["mean"], change["low"], change["high"]) == (None, None, None)
    assert change["unchanged"] is True and change["better"] is False
    section = _section(world, result["run_id"])
    assert section.improvement is None and section.unchanged
    assert "Unchanged" in training_markdown(section, simulated=True)
    assert "show nothing" in section.remark


def test_how_many_cases_would_show_something() -> None:
    fewest = {str(n): 0.0 for n in range(FEWEST_TELLING_PAIRS)}
    best = dict.fromkeys(fewest, 1.0)
    assert paired_improvement(fewest, best).better
    fewest.pop("0")
    assert not paired_improvement(fewest, best).better, "one case fewer shows nothing"
    assert "3 test cases show nothing" in too_few_words(3)
    assert "6 could" in too_few_words(3) and "about 35" in too_few_words(3)
    assert "1 test case shows nothing" in too_few_words(1)
    assert "only a large gain" in too_few_words(20)
    assert too_few_words(0) == too_few_words(cases_for_gain(0.1)) == ""


def test_so_many_cases_show_such_a_gain() -> None:
    gain = 0.1
    count = cases_for_gain(gain)
    better = round(gain * count + 0.5)
    before = {str(n): 0.0 for n in range(count)}
    after = {str(n): 1.0 if n < better else 0.0 for n in range(count)}
    found = paired_improvement(before, after)
    assert found.low is not None and found.low > -0.02


def test_a_merged_candidate_is_no_rejected_one() -> None:
    assert CandidateNode(id="c2-1", accepted=False, reason="merged into c2-7").merged
    assert not CandidateNode(id="c2-1", accepted=False, reason="did not do as well as c2-7").merged
    assert not CandidateNode(id="c2-1", accepted=True, reason="merged into c2-7").merged
