"""In a folder of somebody's own, whose packages bear the names of our folders; and from a wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from websockets.sync.client import connect

from tests.support.command import run_cornerman
from tests.support.serving import Serving

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"EVALUATOR_MODULES": "tasks,flows,storage,deployments,tests"}
OWN_CODE = {
    "tasks/__init__.py": "",
    "tasks/checks.py": """
        from storage import shelf
        from deployments.places import PLACE

        def polite(context):
            return shelf.KEPT in context.output and PLACE == "here"
    """,
    "storage/__init__.py": "",
    "storage/shelf.py": "KEPT = 'please'",
    "deployments/__init__.py": "",
    "deployments/places.py": "PLACE = 'here'",
    "tests/__init__.py": "",
    "tests/words.py": "WORDS = ('yes', 'please')",
    "flows.py": """
        from tests.words import WORDS

        async def agent(inputs, prompts, context):
            said = await context.chat([{"role": "user", "content": inputs["text"]}])
            return " ".join(WORDS) + said[:0]
    """,
}
REQUEST = {
    "workflow_id": "own",
    "dataset": {"cases": [{"inputs": {"text": f"case {n}"}} for n in range(4)]},
    "evaluators": [{"id": "polite", "entrypoint": "tasks.checks:polite"}],
    "optimizer": {"epochs": 1},
    "graph_config": {"entrypoint": "flows:agent"},
    "prompts": {"system": {"text": "Be polite.", "requires_grad": True}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with packages named tasks, storage, deployments and tests, and a flows.py."""
    for name, text in OWN_CODE.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.strip("\n").splitlines()
        path.write_text("\n".join(line.removeprefix(" " * 8) for line in lines) + "\n")
    (tmp_path / "project" / "spec.yaml").write_text(yaml.safe_dump(REQUEST))
    return tmp_path / "project"


def test_own_modules_train_and_battle_in_their_own_folder(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    trained = run_cornerman("train", "spec.yaml", "--json", home=home, cwd=folder, env=MODULES)
    assert trained.returncode == 0, trained.stderr
    assert trained.json()["seed_score"] == 1.0
    held = run_cornerman(
        "battle", "--batch-size", "1", "--json", home=home, cwd=folder, env=MODULES
    )
    assert held.returncode == 0, held.stderr
    assert held.json()["battlesCompleted"] == 1


@pytest.fixture
def serving(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    for name, value in MODULES.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "home").mkdir()
    served = Serving(tmp_path / "home", cwd=folder)
    yield served
    served.stop()


def test_own_modules_train_under_serve(serving: Serving) -> None:
    serving.until_up()
    with connect(f"ws://127.0.0.1:{serving.port}/ws/workflow/own") as socket:
        training = {key: REQUEST[key] for key in ("dataset", "evaluators", "optimizer", "prompts")}
        message = {"type": "train_workflow", "execution_id": "own-1", "training": training}
        socket.send(json.dumps(message | {"graph_config": REQUEST["graph_config"]}))
        while "status" not in (received := json.loads(socket.recv(timeout=120))):
            if received["event"] == "training_progress":
                assert received["payload"]["evaluations"]["polite"]["score"] == 1.0
    assert received == {"status": "completed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "from setuptools import build_meta as b; import sys; print(b.build_sdist(sys.argv[1]))"
    sdist = subprocess.run(
        [sys.executable, "-c", build, str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    archive = folder / sdist.stdout.splitlines()[-1]
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(archive)], check=True)
    return next(folder.glob("*.whl"))


def test_wheel_installs_the_one_name_with_all_its_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"cornerman"}
    assert {"cornerman/py.typed", "cornerman/deployments/prefect.yaml"} <= set(names)
    sources = [*ROOT.glob("cornerman/**/*"), *ROOT.glob("storage/**/*.py")]
    expected = {
        str(path.relative_to(ROOT)).replace("storage/", "cornerman/storage/", 1)
        if path.is_relative_to(ROOT / "storage")
        else str(path.relative_to(ROOT))
        for path in sources
        if path.is_file() and path.suffix not in (".pyc", ".md")
    }
    assert expected - set(names) == set()


def test_demo_runs_from_the_wheel_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    zipfile.ZipFile(wheel).extractall(installed)
    empty.mkdir()
    environment = os.environ | {"PYTHONPATH": str(installed), "CORNERMAN_HOME": str(tmp_path / "h")}
    which = "import cornerman.flows.train as t, cornerman as c; print(c.__file__, t.__file__)"
    code = f"{which}; from cornerman.cli.main import run; import sys; sys.exit(run(['demo']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=empty, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0].count(str(installed)) == 2
    # One story: the agent that is trained is the one that fights, before and after.
    told = done.stdout
    assert "Met 5 people" in told and "Met them again" in told and "Changed in system" in told
    assert "over 5 personas, paired" in told and "read the intervals" in told
    page = (empty / "cornerman-demo.html").read_text()
    assert page.count('class="tools"') > 5 and "look_up_order" in page
    assert "The same people before" in page and "met with the same seeds" in page
