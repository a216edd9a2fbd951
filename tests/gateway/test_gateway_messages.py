"""What a caller is told who does not know the gateway yet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cornerman.gateway.errors import with_hint
from cornerman.storage.database import Database
from tests.gateway.serving import API_TOKEN, Served, new_run, receive, say, send

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def test_the_bare_address_leads_to_the_page(gateway: Served) -> None:
    answer = gateway.open.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/training-monitor")


def test_a_body_that_says_it_is_a_form_is_told_to_say_json(gateway: Served) -> None:
    answer = gateway.cron.post("/api/cron/train", content='{"batchSize": 2}', headers=FORM)
    assert answer.status_code == 422
    assert answer.json()["hint"] == "Say that it is JSON: -H 'Content-Type: application/json'"
    assert "batchSize" not in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{bad", "body: no valid JSON at character 1: "),
        ('{"batchSize": "5"}', "batchSize ('5'): must be a whole number"),
    ],
)
def test_a_refused_body_is_told_where_and_why(gateway: Served, body: str, said: str) -> None:
    answer = gateway.cron.post("/api/cron/train", content=body, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(said)


def test_a_wrong_address_or_method_is_named(gateway: Served) -> None:
    missing = gateway.http.get("/api/nothing").json()
    assert missing["message"] == "There is nothing at '/api/nothing'."
    refused = gateway.http.delete("/api/kill-switch")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, PUT")
    assert refused.json()["message"] == "DELETE does not go here; allowed: GET, PUT."


def test_a_secret_of_the_other_door_is_told_which_one_is_expected(gateway: Served) -> None:
    cron, api = gateway.http.get("/api/cron/train").json(), gateway.cron.get("/api/runs").json()
    assert cron["message"] == "The secret is wrong; CRON_SECRET is expected here."
    assert api["message"] == "The secret is wrong; API_TOKEN is expected here."


def test_what_is_missing_is_named_with_its_workflow(gateway: Served) -> None:
    answer = gateway.http.get("/api/workflows/support/agentensor/checkpoints/c1")
    assert answer.json()["message"] == "There is no checkpoint 'c1' of workflow 'support'."


def test_a_hint_follows_as_a_sentence_of_its_own() -> None:
    assert with_hint("It is off", "Turn it on") == "It is off. Turn it on"
    assert with_hint("It is off.", "Turn it on") == "It is off. Turn it on"
    assert with_hint("It is off", "") == "It is off"


def test_a_dataset_that_is_not_there_tells_nothing_of_the_machine(gateway: Served) -> None:
    training = {
        "dataset": {"path": "cases.csv"},
        "evaluators": [{"id": "e", "entrypoint": "exact_match"}],
    }
    with gateway.ws() as client:
        send(client, type="train_workflow", training=training)
        said = receive(client)["error"]
    assert "there is no dataset 'cases.csv'" in said and "/api/datasets" in said
    assert str(gateway.settings.home) not in said


def test_a_token_offered_alone_as_subprotocol_opens_and_is_not_sent_back(gateway: Served) -> None:
    with gateway.ws(token="", subprotocols=[API_TOKEN]) as client:
        assert client.subprotocol is None
        send(client, type="ping")
        assert receive(client) == {"type": "pong"}


def test_who_gave_no_execution_id_learns_it_from_the_events(gateway: Served) -> None:
    new_run(gateway.db, "named")
    say(gateway.db, "named", {"n": 1})
    with gateway.ws() as client:
        send(client, type="attach", execution_id="named")
        assert "execution_id" not in receive(client)


def test_a_gateway_without_a_token_shows_people_how_to_set_one(
    serve: Callable[..., Served], sqlite_db: Database
) -> None:
    gateway = serve(sqlite_db, API_TOKEN="")
    gateway.open.headers["Accept"] = "text/html"
    page = gateway.open.get("/admin/training-monitor")
    sent = gateway.open.post("/admin/login", data={"token": "x"})
    for answer in (page, sent):
        assert answer.status_code == 500
        assert "export API_TOKEN=" in answer.text and 'type="password"' not in answer.text
    assert "export API_TOKEN=" in gateway.open.get("/admin/login").text
