"""Commands that change what is kept: schema, kill-switch, personas, the best checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import update

from cornerman.cli.store import database
from cornerman.domain.training.candidates import NewCheckpoint
from cornerman.storage.checkpoints import create_checkpoint, read_best_moves
from cornerman.storage.database.types import now
from cornerman.storage.output_limits import raise_output_limit
from cornerman.storage.runs import claim_run, create_run, finish_run
from cornerman.storage.tables import runs
from cornerman.storage.workflows import create_workflow
from tests.cli.conftest import Printed, write_spec
from tests.support.llm_standin import Reply
from tests.support.llm_thread import serving

Command = Callable[..., Printed]


def test_the_schema_is_upgraded_once(command: Command) -> None:
    first = command("db", "upgrade", "--json").json()
    again = command("db", "upgrade", "--json").json()
    assert first["before"] is None and first["after"]
    assert again["before"] == again["after"] == first["after"]


def test_the_kill_switch_remembers_who_and_why(command: Command) -> None:
    assert command("kill-switch", "status", "--json").json()["active"] is False
    command("kill-switch", "on", "--reason", "too dear", "--by", "ada")
    state = command("kill-switch", "status", "--json").json()
    assert (state["active"], state["reason"], state["by"]) == (True, "too dear", "ada")
    assert command("kill-switch", "off", "--json").json()["active"] is False


def test_the_kill_switch_wants_a_reason(command: Command) -> None:
    assert command("kill-switch", "on").code == 2


def test_builtin_personas_are_there_from_the_start(command: Command) -> None:
    assert len(command("personas", "list", "--json").json()) == 24
    assert len(command("personas", "list", "--workflow", "support", "--json").json()) == 12


def test_an_import_can_be_repeated(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "people.jsonl"
    people = [{"name": f"Person {n}", "system_prompt": f"You are person {n}."} for n in range(3)]
    file.write_text("\n".join(map(json.dumps, people)))
    first = command("personas", "import", file, "--workflow", "bazaar", "--json").json()
    again = command("personas", "import", file, "--workflow", "bazaar", "--json").json()
    assert (first["new"], first["same"]) == (3, 0)
    assert (again["new"], again["same"]) == (0, 3)
    assert len(command("personas", "list", "--workflow", "bazaar", "--json").json()) == 3


def test_a_new_workflow_can_hold_battles_after_an_import(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("name,system_prompt\nAnn,You are Ann.\n")
    command("personas", "import", file, "--workflow", "bazaar")
    found = command("estimate", "battle", "--workflow", "bazaar", "--json")
    assert found.code == 0, found.err


def test_an_estimate_and_the_doctor_know_of_a_model_that_thinks(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none-of-them-is-asked")
    monkeypatch.setenv("AGENT_MODEL", "gpt-4o-mini")
    spec = write_spec(tmp_path)
    before = command("estimate", spec, "--json").json()
    assert "MAX_OUTPUT_TOKENS (16,384)" in before["basis"]
    command("db", "upgrade")
    with database() as db, db.writing() as session:
        raise_output_limit(session, "127.0.0.1:9/v1", "gpt-4o-mini", 8_192)
    after = command("estimate", spec, "--json").json()
    assert after["high_usd"] > 2 * before["high_usd"]
    assert after["low_usd"] == before["low_usd"]

    def said() -> list[dict[str, str]]:
        checks = command("doctor", "--json").json()["checks"]
        return [check for check in checks if "8,192" in check["message"]]

    assert [check["level"] for check in said()] == ["ok"]
    monkeypatch.setenv("MAX_OUTPUT_TOKENS", "4096")
    assert [check["level"] for check in said()] == ["warning"]
    assert "MAX_OUTPUT_TOKENS" in said()[0]["fix"]


def test_a_broken_persona_file_is_refused_by_line(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "people.jsonl"
    file.write_text('{"name": "Ann"}\n')
    printed = command("personas", "import", file)
    assert printed.code == 2
    assert "line 1" in printed.err and "system_prompt" in printed.err


def test_personas_are_generated_and_none_comes_twice(command: Command) -> None:
    first = command("personas", "generate", "3", "--json").json()
    again = command("personas", "generate", "3", "--json").json()
    names = [p["name"] for made in (first, again) for p in made["personas"]]
    assert len(names) == len(set(names)) == 6
    assert first["simulated"] is True and first["cost_usd"] > 0
    assert len(command("personas", "list", "--json").json()) == 30
    assert command("personas", "generate", "0").code == 2


def test_what_a_model_says_twice_is_refused_and_the_rest_is_kept(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = dict.fromkeys(("description", "persona_type"), "x") | {"difficulty": 2}
    rows = [row | {"name": name, "system_prompt": f"You are {name}."} for name in ("A", "A", "B")]
    with serving(lambda request, n: Reply(text=json.dumps({"personas": rows}))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        made = command("personas", "generate", "2", "--workflow", "support", "--json").json()
        asked = server.requests[0].body["messages"][1]["content"]
    assert [p["name"] for p in made["personas"]] == ["A", "B"]
    assert (made["duplicates"], len(server.requests)) == (1, 1)
    assert "the shop's support" in asked and "The persona is the customer" in asked


def test_nothing_is_generated_for_an_unknown_workflow(command: Command) -> None:
    printed = command("personas", "generate", "2", "--workflow", "nowhere")
    assert (printed.code, "neither a rubric" in printed.err) == (2, True)


def test_a_persona_can_be_switched_off_and_on(command: Command) -> None:
    def active() -> set[str]:
        listed = command("personas", "list", "--active", "--workflow", "support", "--json").json()
        return {persona["id"] for persona in listed}

    everybody = active()
    ids = ("support-calm", "support-sad")
    done = command("personas", "off", *ids, "--workflow", "support", "--json")
    assert done.json() == {"workflow_id": "support", "personas": list(ids), "active": False}
    assert everybody - active() == set(ids)
    assert command("personas", "off", "support-vague", "nobody", "-w", "support").code == 2
    assert "support-vague" in active(), "one unknown id, and nothing is changed"
    command("personas", "on", *ids, "--workflow", "support")
    assert active() == everybody


@pytest.fixture
def two_checkpoints(command: Command) -> list[str]:
    command("db", "upgrade")
    with database() as db, db.writing() as session:
        create_workflow(session, "labels")
        for number, score in ((1, 0.5), (2, 0.9)):
            prompts = {"system": {"text": f"Prompt {number}.", "requires_grad": True}}
            new = NewCheckpoint(
                id=f"{number}{number}-checkpoint",
                workflow_id="labels",
                runnable_config={"prompts": prompts},
                metrics={"validation_score": score},
                metadata={"dataset_fingerprint": "f"},
            )
            create_checkpoint(session, new)
    return ["11-checkpoint", "22-checkpoint"]


def test_a_rollback_keeps_its_reason(command: Command, two_checkpoints: list[str]) -> None:
    old, new = two_checkpoints
    document = command("checkpoints", "rollback", "11", "--reason", "worse live", "--json").json()
    assert (document["checkpoint"]["id"], document["previous_id"]) == (old, new)
    assert document["checkpoint"]["is_best"] is True
    with database() as db, db.reading() as session:
        assert read_best_moves(session, "labels")[-1]["reason"] == "worse live"


@pytest.mark.usefixtures("two_checkpoints")
def test_a_rollback_wants_a_reason_and_a_known_checkpoint(command: Command) -> None:
    assert command("checkpoints", "rollback", "11").code == 2
    assert command("checkpoints", "rollback", "11", "--reason", " ").code == 2
    assert command("checkpoints", "rollback", "33", "--reason", "x").code == 2


def test_a_run_that_nobody_works_on_is_cancelled_at_once(command: Command) -> None:
    command("db", "upgrade")
    with database() as db, db.writing() as session:
        create_workflow(session, "labels")
        create_run(
            session,
            run_id="lost",
            kind="train",
            workflow_id="labels",
            request={},
            random_state={},
            simulated=True,
        )
        claim_run(session, "lost", "host:1:dead")
        finish_run(session, "lost", status="failed")
    assert command("runs", "cancel", "lost", "--json").json()["status"] == "failed"
    with database() as db, db.writing() as session:
        claim_run(session, "lost", "host:1:dead")
        long_ago = now() - timedelta(minutes=5)
        session.execute(update(runs).where(runs.c.id == "lost").values(heartbeat_at=long_ago))
    assert command("runs", "cancel", "lost", "--json").json()["status"] == "cancelled"


def test_a_promotion_is_live_and_can_be_pulled(
    command: Command, two_checkpoints: list[str], tmp_path: Path
) -> None:
    old, _ = two_checkpoints
    assert command("checkpoints", "promote", "11").code == 0
    with database() as db, db.reading() as session:
        assert read_best_moves(session, "labels")[-1]["reason"] == "promoted by hand"
    for name, read in (("p.yaml", yaml.safe_load), ("p.json", json.loads)):
        assert command("prompts", "pull", "labels", "-o", str(tmp_path / name)).code == 0
        found = read((tmp_path / name).read_text())
        assert found["checkpoint_id"] == old and found["prompts"]["system"]["text"]
    assert command("prompts", "pull", "none").code == 2
