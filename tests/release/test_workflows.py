"""What runs on GitHub: bounded, pinned, with no more rights than it needs. Their schemas are part of `make lint`."""

import re

import pytest
import yaml

from mira_cli.catalogue.lookup import built_in
from tests.runs import REPOSITORY

FOLDER = REPOSITORY / ".github" / "workflows"
WORKFLOWS = {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in FOLDER.glob("*.yml")}
WRITES = {  # the only jobs that may change anything, and what
    ("docs.yml", "publish"): {"pages": "write", "id-token": "write"},
    ("release.yml", "pypi"): {"id-token": "write"},
    ("release.yml", "github"): {"contents": "write"},
}


def calls(text: str) -> set[str]:
    """Targets that `make` is called with."""
    lines = re.findall(r"(?:^|\brun: )make ([^#\n]+)", text, flags=re.MULTILINE)
    return {word for line in lines for word in line.split() if re.fullmatch("[a-z][a-z-]+", word)}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_is_pinned_bounded_and_reads_alone(name) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    for job, told in workflow["jobs"].items():
        assert told["timeout-minutes"] <= 120
        assert told.get("permissions", {}) == WRITES.get((name, job), {})
        for step in told["steps"]:
            assert re.fullmatch(r"[\w./-]+@v\d+\.\d+\.\d+", step.get("uses", "a/b@v1.0.0"))
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"] == {"persist-credentials": False}


def test_workflows_call_what_the_makefile_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    called = {target for file in FOLDER.glob("*.yml") for target in calls(file.read_text(encoding="utf-8"))}
    assert called <= targets
    steps = calls((REPOSITORY / ".ci" / "run").read_text(encoding="utf-8"))
    assert {"lint", "test"} <= steps <= calls((FOLDER / "ci.yml").read_text(encoding="utf-8"))


def test_the_security_page_names_the_families_whose_weights_run_code() -> None:
    page = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.search(r"a family loads them: ([^|]*) \|", page)[1].split(", "))
    families = built_in().families
    assert named == {each.title.split(" ")[0] for name, each in families.items() if each.runs_code and name != "file"}
