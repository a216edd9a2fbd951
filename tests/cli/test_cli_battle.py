"""What `cornerman battle` takes and tells, as far as no battle need be held for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cornerman.cli.commands.battle import continued_batch, say_batch
from cornerman.cli.output import Out
from cornerman.cli.store import database
from cornerman.cli.workflow_files import workflow_id_of
from cornerman.domain.battles.request import BattleParameters
from cornerman.domain.errors import BadInputError, NotFoundError
from cornerman.domain.runs import RunKind
from cornerman.flows.battle_workflow import read_battle_workflow
from cornerman.storage.runs import create_run
from cornerman.storage.workflows import create_workflow
from tests.cli.conftest import Printed
from tests.support.battle_arena import lab_workflow

Command = Callable[..., Printed]
METRICS = dict.fromkeys(("spoiled", "unscored"), 0) | {
    "referee_agreement": None,
    "regression": None,
}


def told(capsys: pytest.CaptureFixture[str], metrics: dict[str, Any], **facts: Any) -> str:
    result = {
        "batchId": "b1",
        "battles": [],
        "battlesCompleted": 0,
        "averageScore": None,
        "breakthroughs": 0,
        "totalCost": 0.0,
        "errors": [],
        "stoppedBy": None,
        "metrics": METRICS | metrics,
    }
    capsys.readouterr()
    say_batch(Out(False), result | facts)
    return capsys.readouterr().out


def test_a_workflow_file_is_stored_under_its_id_and_can_be_changed(
    command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(lab_workflow())
    assert workflow_id_of(str(file), Out(True)) == "lab"
    file.write_text(yaml.safe_dump(yaml.safe_load(lab_workflow()) | {"limits": {"turn_limit": 4}}))
    workflow_id_of(str(file), Out(True))
    with database() as db, db.reading() as session:
        assert read_battle_workflow(session, "lab").limits.turn_limit == 4


def test_a_workflow_file_that_is_none_names_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    with pytest.raises(NotFoundError, match="no file"):
        workflow_id_of(str(file), Out(True))
    file.write_text("id: mine\n")
    with pytest.raises(BadInputError, match=r"mine\.yaml: name: Field required"):
        workflow_id_of(str(file), Out(True))
    file.write_text(lab_workflow().replace("id: lab", "id: support"))
    with pytest.raises(BadInputError, match="another id"):
        workflow_id_of(str(file), Out(True))


def test_battles_left_out_of_the_average_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, {"spoiled": 1, "unscored": 2})
    assert "Spoiled        1" in text and "Unscored       2" in text
    assert "Spoiled" not in told(capsys, {})


def test_the_agreement_of_two_referees_and_a_regression_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    agreement = {"n": 3, "mean_difference": 4.0, "within_10": 1.0, "icc": 0.9}
    worse = {"difference": -12.0, "low": -20.0, "high": -4.0, "previous": "v1"}
    text = told(capsys, {"referee_agreement": agreement, "regression": worse})
    assert "4.0 points apart on average, 100% within 10, in 3 battles" in text
    assert "-12.0 points against v1 (95%: -20.0 to -4.0)" in text


@pytest.mark.parametrize(
    ("stopped_by", "says"),
    [
        ("timeout", "MAX_TRAINING_EXECUTION_TIME_MS"),
        ("budget", "cornerman kill-switch off"),
        ("kill_switch", "cornerman kill-switch off"),
    ],
)
def test_a_batch_that_was_stopped_says_what_to_do(
    stopped_by: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in told(capsys, {}, stoppedBy=stopped_by)


def _store(kind: RunKind, **request: Any) -> None:
    with database() as db, db.writing() as session:
        create_workflow(session, "negotiation")
        create_run(
            session,
            run_id=f"{kind}-1",
            kind=kind,
            workflow_id="negotiation",
            request=request,
            random_state={},
            simulated=True,
        )


def test_a_batch_is_continued_as_it_was_asked(command: Command) -> None:
    asked = BattleParameters(workflow_id="negotiation", batch_size=2, seed=7, run_id="battle-1")
    _store("battle", **asked.model_dump(mode="json"))
    assert continued_batch("battle") == asked


def test_a_training_is_not_continued_as_a_batch(command: Command) -> None:
    _store("train")
    refused = command("battle", "--resume", "train-1", "--json")
    assert (refused.code, refused.json()["field"]) == (2, "resume")
    assert refused.json()["hint"] == "Type: cornerman train --resume train-1"
