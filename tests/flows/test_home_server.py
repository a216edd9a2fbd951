"""The embedded server that commands share: one a home, whoever starts, dies, hangs or is older."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from cornerman.flows.plumbing.embedded_client import EmbeddedServer, troubles
from cornerman.flows.plumbing.home_server import (
    ServerFolder,
    ServerHome,
    ServerRecord,
    answers,
    end_process,
)
from cornerman.settings import load_settings

# Of the child of a test that is a command in all that matters here: it holds the server.
HOLD = """
import sys, time
from cornerman.flows.plumbing.embedded_client import EmbeddedServer
from cornerman.settings import get_settings
server = EmbeddedServer(get_settings())
print(server.folder.read().pid, flush=True)
time.sleep(60)
"""


def environment(_folder: ServerFolder) -> dict[str, str]:
    return dict(os.environ)


def join(home: ServerHome, idle_seconds: float = 60) -> tuple[ServerFolder, int]:
    return home.join(idle_seconds, Path("no-template"), environment)


def until(true: Callable[[], object], seconds: float = 10) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.fixture(name="home")
def _home(cornerman_home: Path) -> Iterator[ServerHome]:
    made = ServerHome(cornerman_home)
    yield made
    for folder in made.folders():
        end_process(folder.read(), gently=False)


def test_two_that_start_together_share_one_server(home: ServerHome) -> None:
    with ThreadPoolExecutor(2) as pool:
        (first, _), (second, _) = pool.map(lambda _: join(home), range(2))
    assert first.path == second.path
    assert first.read().lives
    assert len(home.living()) == 1


def test_it_ends_when_nobody_has_used_it_for_the_idle_time_and_leaves_nothing(
    home: ServerHome,
) -> None:
    folder, held = join(home, idle_seconds=1)
    record = folder.read()
    time.sleep(2.5)
    assert record.lives, "it is used"
    os.close(held)
    until(lambda: not record.lives)
    assert not home.path.exists()


def test_a_killed_client_leaves_it_to_the_others_and_to_the_idle_time(
    home: ServerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_IDLE_SECONDS", "1")
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        pid = int(first.stdout.readline())
        folder, held = join(home, idle_seconds=1)
        first.kill()
        first.wait()
        time.sleep(2)
        assert folder.read().lives
        assert folder.read().pid == pid
        os.close(held)
        record = folder.read()
        until(lambda: not record.lives)
        assert not home.path.exists()


def test_a_dead_one_is_started_again_for_those_who_know_its_port(home: ServerHome) -> None:
    folder, _ = join(home)
    first = folder.read()
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: not first.lives)
    again, _ = join(home)
    second = again.read()
    assert (again.path, second.port, second.token) == (folder.path, first.port, first.token)
    assert second.pid != first.pid
    assert second.lives


def test_one_of_another_version_ends_and_the_new_one_is_apart(home: ServerHome) -> None:
    folder, held = join(home)
    older = replace(folder.read(), version="0.1.0 on Prefect 3.8.8")
    folder.write(older)
    newer, _ = join(home)
    assert newer.path != folder.path
    assert older.lives, "a command of that version still uses it"
    os.close(held)
    until(lambda: not older.lives)
    assert [folder.path for folder in home.folders()] == [newer.path]


def test_a_process_that_was_given_the_number_is_not_taken_for_the_server(
    home: ServerHome,
) -> None:
    folder, held = join(home)
    record = folder.read()
    end_process(record, gently=False)
    os.close(held)
    folder.write(replace(record, pid=os.getpid(), start="1"))
    assert not folder.read().lives
    again, _ = join(home)
    assert again.read().pid not in (os.getpid(), record.pid)


def test_stop_ends_what_is_used_too_and_its_user_starts_it_again(home: ServerHome) -> None:
    folder, held = join(home)
    record = folder.read()
    assert home.stop() == ([record], [record])
    assert not record.lives
    assert home.revive(folder, record, environment)
    again = folder.read()
    assert again.lives
    assert folder.idle_seconds() == 0
    os.close(held)
    until(lambda: not again.lives)
    until(lambda: not folder.path.exists())
    assert ServerHome(home.path).stop() == ([], [])
    unused, free = join(home)
    os.close(free)
    [ended], [] = home.stop()
    assert not ended.lives
    assert not unused.path.exists()


def test_a_key_of_the_command_does_not_live_on_in_it(
    home: ServerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_IDLE_SECONDS", "60")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    server = EmbeddedServer(load_settings())
    held = Path(f"/proc/{server.folder.read().pid}/environ").read_bytes()
    server.end()
    assert b"sk-canary" not in held
    for name in ("server.json", "server.log", "users"):
        assert (server.folder.path / name).stat().st_mode & 0o077 == 0 or name == "server.log"


@pytest.mark.slow
def test_it_answers_to_its_token_alone_and_is_back_when_killed_or_hung(
    home: ServerHome, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_IDLE_SECONDS", "60")
    server = EmbeddedServer(load_settings())
    first = server.until_ready()
    assert answers(first)
    assert not answers(replace(first, token="another"))
    told = len(troubles)

    def back(after: ServerRecord) -> ServerRecord:
        until(lambda: len(troubles) > told, 10)
        until(lambda: (now := server.folder.read()).ready and now.pid != after.pid, 40)
        until(lambda: troubles[-1].back, 5)
        return server.folder.read()

    os.kill(first.pid, signal.SIGKILL)
    second = back(first)
    assert second.port == first.port
    told = len(troubles)
    os.kill(second.pid, signal.SIGSTOP)
    third = back(second)
    assert answers(third)
    assert not second.lives
    said = capfd.readouterr().err
    assert "has ended; it is started again" in said
    assert "does not answer; it is started again" in said
    server.end()
