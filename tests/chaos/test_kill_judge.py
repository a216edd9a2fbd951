"""A check of a judge that is killed half way: what was judged is not lost, nor paid again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.judging import judge, labelled, write_labels
from tests.support.llm_standin import Reply
from tests.support.llm_thread import serving

CASES = 24


def test_a_killed_check_goes_on_where_it_was(
    tmp_path: Path, cornerman_home: Path, sqlite_template: Path
) -> None:
    cornerman_home.mkdir()
    shutil.copyfile(sqlite_template, cornerman_home / "cornerman.db")
    file = write_labels(tmp_path, labelled(CASES))

    def slow(request: dict[str, object], n: int) -> Reply:
        reply = judge(request, n)
        reply.delay = 0.15
        return reply

    with serving(slow) as model:
        env = os.environ | {"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "sk-of-the-tests"}
        command = [sys.executable, "-m", "cornerman.cli", "judge", "check", file]
        command += ["--rubric", "It is fine.", "--concurrency", "2", "--json"]
        first = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + 60
        while model.total < 8:
            assert first.poll() is None and time.monotonic() < give_up
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.wait()
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f'"scored": {CASES}' in done.stdout
    # Two at most were with the model at that moment, and one may have just been answered.
    assert CASES <= model.total <= CASES + 3
