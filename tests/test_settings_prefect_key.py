"""The key of the Prefect server that `cornerman serve` starts: who keeps it, and who gets it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cornerman.domain.secrets import redact
from cornerman.settings import CLIENT_KEY, keep_key, served_prefect
from cornerman.settings.prefect_key import adopt_key

API = "http://127.0.0.1:4200/api"


def serving(home: Path) -> None:
    (home / "serve.json").write_text(json.dumps({"prefect": "http://127.0.0.1:4200"}))


def test_it_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    key = keep_key(tmp_path)
    assert keep_key(tmp_path) == key
    assert len(key) > 40
    assert (tmp_path / "prefect" / "key").stat().st_mode & 0o777 == 0o600
    assert keep_key(tmp_path / "another") != key


def test_a_key_of_ones_own_takes_its_place(tmp_path: Path) -> None:
    made = keep_key(tmp_path)
    assert keep_key(tmp_path, "admin:pass") == "admin:pass" == keep_key(tmp_path) != made


def test_what_a_killed_process_left_of_it_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "key.part").write_text("half")
    (tmp_path / "prefect" / "key").write_text("")
    assert keep_key(tmp_path).startswith("cornerman:")


def test_it_is_hidden_from_every_text(tmp_path: Path) -> None:
    key = keep_key(tmp_path)
    word = base64.b64encode(key.encode()).decode()
    assert redact(f"a stack that holds {key}, or {word}") == "a stack that holds ***, or ***"


def test_a_client_of_this_homes_server_gets_it_and_no_other(tmp_path: Path) -> None:
    key = keep_key(tmp_path)
    environment: dict[str, str] = {}
    adopt_key(tmp_path, API, environment)
    assert environment == {}, "nothing serves"
    serving(tmp_path)
    adopt_key(tmp_path, "http://127.0.0.1:4201/api", environment)
    adopt_key(tmp_path, "https://elsewhere.example/api", environment)
    assert environment == {}
    adopt_key(tmp_path, API + "/", environment)
    assert environment == {CLIENT_KEY: key}
    theirs = {CLIENT_KEY: "their:own"}
    adopt_key(tmp_path, API, theirs)
    assert theirs == {CLIENT_KEY: "their:own"}


def test_without_a_server_there_is_no_door(tmp_path: Path) -> None:
    assert served_prefect(tmp_path) is None
    serving(tmp_path)
    key = keep_key(tmp_path)
    served = served_prefect(tmp_path)
    assert served is not None and key not in served.door
    assert served.door.startswith("http://127.0.0.1:4200/cornerman/sign-in#")
