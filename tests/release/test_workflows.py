"""The workflow files: what a runner would refuse, and that they call what a person calls."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from tests.conftest import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOW_KEYS = {"name", "on", "jobs", "permissions", "concurrency", "env", "defaults"}
JOB_KEYS = {
    "name", "runs-on", "container", "steps", "needs", "if", "strategy", "timeout-minutes",
    "permissions", "env", "services", "environment",
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
            # What a tag leads to can be changed, what a digest leads to cannot.
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", step["uses"]), step
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_digest_has_its_version_beside_it_and_images_have_theirs(path):
    text = path.read_text()
    for line in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
    for image in re.findall(r"(?:container|image): (\S+)", text):
        assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image), image
    digests = dict(re.findall(r"uses: ([\w./-]+)@(\S+)", text))
    everything = "".join(other.read_text() for other in FILES)
    everywhere = re.findall(r"uses: ([\w./-]+)@(\S+)", everything)
    assert all(digests.get(name, digest) == digest for name, digest in everywhere)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_job_may_do_what_it_must_and_nothing_else(path):
    workflow = load(path)
    # What is not named is not given; a job without a line of its own may do nothing.
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        rights = job["permissions"]
        uses = [step["uses"].split("@")[0] for step in job["steps"] if "uses" in step]
        wanted = set()
        if "actions/checkout" in uses:
            wanted.add(("contents", "read"))
        if "actions/attest-build-provenance" in uses:
            wanted |= {("id-token", "write"), ("attestations", "write")}
        assert set(rights.items()) == wanted, name
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                # What is built later finds no token in the folder.
                assert step["with"]["persist-credentials"] is False


def test_the_key_of_releases_is_where_nothing_is_built():
    release = load(FILES[0])
    with_key = [
        (name, step)
        for name, job in release["jobs"].items()
        for step in job["steps"]
        if "secrets." in json.dumps(step)
    ]
    ((name, step),) = with_key
    job = release["jobs"][name]
    assert job["needs"] == ["build"] and job["environment"] == "release"
    assert not [step for step in job["steps"] if "make" in step.get("run", "")]
    assert not [step for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert list(step["env"]) == ["KEY"] and "secrets" not in step["run"]


def signed(tmp_path, key, change=lambda dist: None):
    """The step that signs, as the runner calls it, on a release of two files."""
    dist = tmp_path / "dist"
    dist.mkdir()
    sums = []
    for name in ("image.uf2", "sbom.cdx.json"):
        (dist / name).write_text(name)
        sums.append(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n")
    (dist / "SHA256SUMS").write_text("".join(sums))
    change(dist)
    (step,) = [s for s in load(FILES[0])["jobs"]["sign"]["steps"] if "run" in s]
    script = tmp_path / "script"
    script.write_text(step["run"])
    shell = step["shell"].format(script).split()
    return subprocess.run(
        shell, cwd=tmp_path, env={**os.environ, "KEY": key}, capture_output=True, text=True
    )


def tool(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "release" / "sign.py", *arguments],
        capture_output=True, text=True,
    )  # fmt: skip


def documented(name):
    """The commands with which docs/release.md has a user check a release."""
    text = (ROOT / "docs" / "release.md").read_text()
    return [line.strip() for line in text.splitlines() if line.strip().startswith(name)]


def test_what_the_workflow_signs_is_verified_as_the_docs_say(tmp_path):
    made = tool("new", tmp_path / "key.pem")
    assert made.returncode == 0 and (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    done = signed(tmp_path, (tmp_path / "key.pem").read_text())
    assert done.returncode == 0, done.stderr
    assert "PRIVATE" not in done.stdout + done.stderr
    dist = tmp_path / "dist"
    (dist / "openams-release.pem").write_text(made.stdout)
    for command in (*documented("openssl dgst"), *documented("sha256sum")):
        checked = subprocess.run(command.split(), cwd=dist, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
    (dist / "openams-release.pem").rename(tmp_path / "public.pem")
    assert tool("verify", dist, "--key", tmp_path / "public.pem").returncode == 0
    for name in ("image.uf2", "SHA256SUMS", "SHA256SUMS.sig"):
        before = (dist / name).read_bytes()
        (dist / name).write_bytes(before[:-2] + b"x\n")
        refused = tool("verify", dist, "--key", tmp_path / "public.pem")
        assert refused.returncode == 1 and refused.stderr.count("\n") == 1, name
        (dist / name).write_bytes(before)
    (dist / "more").touch()
    assert "no sum of more" in tool("verify", dist, "--key", tmp_path / "public.pem").stderr


def test_nothing_is_signed_without_a_key_or_with_a_file_that_was_changed(tmp_path):
    key = tool("new", tmp_path / "key.pem") and (tmp_path / "key.pem").read_text()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    done = signed(tmp_path / "a", "")
    assert done.returncode and "RELEASE_KEY" in done.stdout
    done = signed(tmp_path / "b", key, lambda dist: (dist / "image.uf2").write_text("other"))
    assert done.returncode and not (tmp_path / "b" / "dist" / "SHA256SUMS.sig").exists()
    again = tool("new", tmp_path / "key.pem")
    assert again.returncode == 1 and "not written over" in again.stderr


def test_the_tool_signs_the_same_way(tmp_path):
    public = tool("new", tmp_path / "key.pem").stdout
    (tmp_path / "public.pem").write_text(public)
    (tmp_path / "a").mkdir()
    signed(tmp_path / "a", (tmp_path / "key.pem").read_text())
    dist = tmp_path / "a" / "dist"
    (dist / "SHA256SUMS.sig").unlink()
    assert tool("sign", dist, "--key", tmp_path / "key.pem").returncode == 0
    assert tool("verify", dist, "--key", tmp_path / "public.pem").returncode == 0
    (tmp_path / "key.pem").chmod(0o644)
    assert "others may read" in tool("sign", dist, "--key", tmp_path / "key.pem").stderr


def test_ci_lints_tests_and_builds_the_docs_and_a_tag_releases():
    test, release = load(FILES[1]), load(FILES[0])
    assert [step["run"] for step in steps(test) if "run" in step] == [
        # What judges the optical port, from the system's packages as a person would.
        "command -v npm || sudo apt-get install -y nodejs npm",
        "make lint", "make test", "make docs",
    ]  # fmt: skip
    assert release["on"] == {"push": {"tags": ["v*"]}}
    (build,) = [step for step in steps(release) if step.get("run") == "make release"]
    assert build["env"] == {"OPENAMS_PINNED_COMPILER": "1"}
    assert any(step.get("with", {}).get("path") == "dist/" for step in steps(release))
