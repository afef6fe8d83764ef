"""The workflow files: what a runner would refuse, and that they call what a person calls."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.conftest import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOW_KEYS = {"name", "on", "jobs", "permissions", "concurrency", "env", "defaults"}
JOB_KEYS = {
    "name", "runs-on", "container", "steps", "needs", "if", "strategy", "timeout-minutes",
    "permissions", "env", "services",
}  # fmt: skip
STEP_KEYS = {"name", "id", "if", "uses", "with", "run", "env", "shell", "working-directory"}
EVENTS = {"push", "pull_request", "schedule", "workflow_dispatch", "release"}


class NoRepeats(yaml.SafeLoader):
    """A key that stands twice is an error, as it is for a runner."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"twice: {keys}"
        return super().construct_mapping(node, deep)


def load(path):
    workflow = yaml.load(path.read_text(), NoRepeats)
    # YAML 1.1 reads the key `on` as true.
    return {"on" if key is True else key: value for key, value in workflow.items()}


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_is_one_to_test_and_one_to_release():
    assert [path.stem for path in FILES] == ["release", "test"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_runner_would_take_it(path):
    workflow = load(path)
    assert set(workflow) <= WORKFLOW_KEYS and {"on", "jobs"} <= set(workflow)
    events = workflow["on"]
    assert set([events] if isinstance(events, str) else events) <= EVENTS
    for job in workflow["jobs"].values():
        assert set(job) <= JOB_KEYS and job["steps"], job
        assert re.fullmatch(r"[a-z]+-(latest|\d+\.\d+)", job["runs-on"])
        assert set(job.get("needs", [])) <= set(workflow["jobs"])
    for step in steps(workflow):
        assert set(step) <= STEP_KEYS, step
        assert ("uses" in step) != ("run" in step), step
        if "uses" in step:
            # Of a named version.
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+(\.\d+)*", step["uses"]), step
        else:
            assert isinstance(step["run"], str) and "with" not in step
        assert "${{ github.event" not in step.get("run", ""), "whoever opens a request writes that"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_calls_targets_of_make(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = [
        target
        for step in steps(load(path))
        for target in re.findall(r"^make (\S+)", step.get("run", ""), re.MULTILINE)
    ]
    assert called and set(called) <= targets


def test_ci_lints_tests_and_builds_the_docs_and_a_tag_releases():
    test, release = load(FILES[1]), load(FILES[0])
    assert [step["run"] for step in steps(test) if "run" in step] == [
        "make lint", "make test", "make docs",
    ]  # fmt: skip
    assert release["on"] == {"push": {"tags": ["v*"]}}
    assert "make release" in [step.get("run") for step in steps(release)]
    assert any(step.get("with", {}).get("path") == "dist/" for step in steps(release))
