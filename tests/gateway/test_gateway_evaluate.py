"""`evaluate_workflow` over the websocket, and what the API and the page's view say of the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cornerman.domain.errors import BadInputError
from cornerman.domain.runs import Run
from cornerman.gateway.messages import parse_evaluation_message
from cornerman.storage import checkpoints, runs, workflows
from cornerman.storage.checkpoints import NewCheckpoint
from cornerman.storage.database import Database
from tests.gateway.serving import Served, receive, receive_all, send

CASES = [{"id": f"k{n}", "inputs": {"n": n}, "expected_output": str(n)} for n in range(6)]
BLOCK: dict[str, Any] = {
    "dataset": {"cases": CASES},
    "evaluators": [{"id": "quality", "entrypoint": "exact_match"}],
    "prompts": {"system": {"text": "Say the number."}},
}


def message(**more: Any) -> dict[str, Any]:
    return {"type": "evaluate_workflow", "inputs": {}, "evaluation": BLOCK} | more


def block(**more: Any) -> dict[str, Any]:
    return message(evaluation=BLOCK | more)


def store_best(db: Database, name: str = "best-1", workflow: str = "support") -> None:
    prompt = {"text": "Say the number, please.", "requires_grad": True}
    with db.writing() as session:
        workflows.create_workflow(session, workflow)
        new = NewCheckpoint(name, workflow, {"prompts": {"system": prompt}}, {}, {})
        checkpoints.create_checkpoint(session, new)
        checkpoints.update_best(session, workflow, name, reason="the test's", by="test")


def test_the_block_holds_a_requests_fields_its_columns_its_bar_and_its_limits() -> None:
    spec = parse_evaluation_message(
        "support",
        block(models=["a"], checkpoints=["best"], split="all", min_score=0.5, max_cost_usd=2)
        | {"execution_id": "e1", "inputs": {"language": "en"}},
    )
    assert (spec.workflow_id, spec.run_id, spec.models) == ("support", "e1", ["a"])
    assert (spec.min_score, spec.optimizer.max_cost_usd) == (0.5, 2)
    assert spec.dataset.cases is not None
    assert spec.dataset.cases[3].inputs == {"language": "en", "n": 3}


REFUSED: list[tuple[dict[str, Any], str]] = [
    (block(optimizer={"epochs": 2}), "evaluation.optimizer: unknown field; an evaluation rewrites"),
    (block(workflow_id="other"), "evaluation.workflow_id: unknown field"),
    (block(max_cost_usd=-1), "max_cost_usd: -1 is under the limit of 0"),
    (block(min_score=2), "min_score: 2 is over the limit of 1"),
    (block(splitt="test"), "splitt: unknown field; did you mean split?"),
    (block(evaluators=[]), "evaluators: is empty"),
    (message(training={}), "training: unknown field; known: type, graph_config"),
    (message(evaluation=[]), "evaluation: [] is not an object"),
    (block(graph_config={"http": {"url": "http://127.0.0.1:1"}}), "graph_config.http: refused"),
]


@pytest.mark.parametrize(("sent", "said"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_cannot_be_evaluated_is_refused_by_its_field(sent: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError) as refused:
        parse_evaluation_message("support", sent)
    assert refused.value.message.startswith(said)


def test_a_refused_message_names_the_payload_and_the_socket_stays_open(gateway: Served) -> None:
    store_best(gateway.db, workflow="another")
    with gateway.ws() as client:
        for sent, said in (
            (block(split="test"), "Invalid evaluation payload: split: the dataset has no test"),
            (block(checkpoints=["best-1"]), "workflow 'support' has no checkpoint 'best-1'"),
            (block(not_worse_than="best"), "workflow 'support' has no best checkpoint"),
            (block(models=["acme-9"]), "No price is known for model 'acme-9'"),
            (block(graph_config={"entrypoint": "os:getcwd"}), "graph_config.entrypoint"),
        ):
            send(client, **sent)
            answer = receive(client)
            assert answer["status"] == "error" and said in answer["error"], answer
        send(client, type="ping")
        assert receive(client) == {"type": "pong"}
    with gateway.db.reading() as session:
        assert runs.read_runs(session) == []


def test_evaluates_over_a_websocket_and_shows_it(
    serve: Callable[..., Served], sqlite_db: Database
) -> None:
    gateway = serve(sqlite_db, REHEARSAL_LATENCY_MS="300")
    store_best(gateway.db)
    sent = block(not_worse_than="best", max_concurrency=2) | {"execution_id": "gate"}
    with gateway.ws() as client:
        send(client, **sent)
        events, last = receive_all(client, timeout=60)
    assert last == {"status": "completed"}
    assert [event["seq"] for event in events] == list(range(1, 14))
    assert {event["node"] for event in events} == {"agentensor_evaluator"}
    assert [event["event"] for event in events] == ["evaluation_progress"] * 12 + [
        "evaluation_result"
    ]
    result = events[-1]["payload"]
    assert [column["checkpoint"] for column in result["columns"]] == [None, "best-1"]
    assert result["comparisons"][0]["n"] == 6
    listed = gateway.http.get("/api/runs?kind=evaluate").json()
    assert [(run["id"], run["kind"]) for run in listed] == [("gate", "evaluate")]
    assert gateway.http.get("/api/runs/gate/cases/k0/trace?candidate=c1").json()[0]["model"]
    view = gateway.http.get("/api/monitor/evaluation/support").json()
    assert (view["done"], view["total"], view["run"]["status"]) == (12, 12, "completed")
    assert [column["name"][:4] for column in view["columns"]] == ["spec", "best"]
    # The same message finds the same run, as long as it asks for the same.
    with gateway.ws() as client:
        send(client, **sent)
        assert len(receive_all(client)[0]) == 13
        send(client, **block(split="train") | {"execution_id": "gate"})
        assert "was asked for with another" in receive(client)["error"]
    # It ends as training does.
    with gateway.ws() as client:
        send(client, **block(max_concurrency=1, repeats=5) | {"execution_id": "slow"})
        assert receive(client, timeout=60)["event"] == "evaluation_progress"
        send(client, type="cancel", execution_id="slow")
        assert receive_all(client, timeout=10)[1] == {"status": "cancelled"}


def test_the_view_of_a_workflow_that_was_never_evaluated_is_empty(gateway: Served) -> None:
    store_best(gateway.db)
    view = gateway.http.get("/api/monitor/evaluation/support").json()
    assert view == {"run": None, "columns": [], "cases": []}


def test_an_evaluation_that_goes_on_shows_how_far_it_is(gateway: Served) -> None:
    column = {"id": "c0", "checkpoint": None, "override": None, "model": "m"}
    with gateway.db.writing() as session:
        workflows.create_workflow(session, "support")
        made: Run = runs.create_run(
            session,
            run_id="on",
            kind="evaluate",
            workflow_id="support",
            request={"columns": [column]},
            random_state={},
            simulated=True,
        )
        runs.claim_run(session, made.id, "tests:1:x")
        runs.update_run_metrics(session, made.id, {"cases_total": 8})
    view = gateway.http.get("/api/monitor/evaluation/support").json()
    assert (view["done"], view["total"], view["cases"]) == (0, 8, [])
    assert view["columns"] == [{"id": "c0", "name": "spec with m"}]
