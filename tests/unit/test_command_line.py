"""The command line itself: help, examples, completion, and what is loaded for it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib

import pytest
import typer
from typer.testing import CliRunner

from openams.cli import main as cli
from tests.conftest import ROOT


def walk(command=None, path=()):
    """(words, command) of every command there is."""
    command = command or typer.main.get_command(cli.app)
    names = getattr(command, "list_commands", lambda _: [])(None)
    if not names:
        yield path, command
    for name in names:
        yield from walk(command.get_command(None, name), (*path, name))


ALL = dict(walk())


def ams(*words):
    return CliRunner().invoke(cli.app, list(words))


def test_the_table_says_what_the_commands_say():
    root = typer.main.get_command(cli.app)
    for name, entry in cli.COMMANDS.items():
        said = " ".join((root.get_command(None, name).help or "").split("\n\n")[0].split())
        assert said == entry.help, name


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_help_has_an_example_that_the_command_takes(words):
    for option in ("-h", "--help"):
        outcome = ams(*words, option)
        assert outcome.exit_code == 0, outcome.output
    (example,) = re.findall(r"Example: (.*(?:\n  .*)*)", outcome.output)
    if "|" in example:
        example = example.split("|")[1]
    given = shlex.split(" ".join(example.split()))
    assert tuple(given[: len(words) + 1]) == ("ams", *words)
    command = ALL[words]
    context = command.make_context("ams", given[len(words) + 1 :], resilient_parsing=False)
    assert context.params is not None


@pytest.mark.parametrize("words", [(), ("han",), ("keys",), ("image",), ("order",)])
def test_help_of_groups(words):
    for option in ("-h", "--help"):
        outcome = ams(*words, option)
        assert outcome.exit_code == 0 and "Commands:" in outcome.output
    assert ams(*words).exit_code == 2


def test_help_loads_no_command():
    """It is there in a fifth of a second: numpy alone would take twice that."""
    code = (
        "import sys; from openams.cli.main import app\n"
        "try: app(['--help'], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "bad = [n for n in sys.modules if n in ('numpy', 'cryptography', 'rich', 'serial', 'yaml')"
        " or n.startswith('openams.') and n[8:] not in"
        " ('cli', 'cli.main', 'terminal', 'errors', 'private')]\n"
        "print(bad, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Commands:" in done.stdout and done.stderr.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    "words, heavy",
    [
        ("run", ("numpy", "rich", "cryptography", "serial")),
        ("keys new", ("numpy", "rich", "cryptography")),
        ("ration", ("numpy", "rich", "cryptography")),
        ("read", ("numpy", "rich")),
        ("han watch", ("numpy", "rich", "cryptography", "serial")),
    ],
)
def test_help_of_a_command_does_not_load_what_it_runs_with(words, heavy):
    code = (
        f"import sys; from openams.cli.main import app\ntry: app({[*words.split(), '-h']!r})\n"
        f"except SystemExit: pass\nprint([n for n in {heavy!r} if n in sys.modules],"
        " file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Usage:" in done.stdout and done.stderr.strip() == "[]", done.stderr


def completed(*words):
    """What bash is offered behind these words."""
    line = " ".join(("ams", *words))
    environment = {
        **os.environ,
        "_AMS_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words)),
    }
    code = "import sys; sys.argv[0] = 'ams'; from openams.entry import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert not done.stderr, done.stderr
    return done.stdout.split()


def test_a_shell_is_told_how_words_go_on():
    assert {"han", "han-port"} == set(completed("han"))
    assert set(completed("keys", "")) == {
        "new",
        "list",
        "show",
        "rotate",
        "han",
        "readers",
        "takeover",
    }
    assert "--dlms-port" in completed("run", "--dlms")
    shown = subprocess.run(
        [sys.executable, "-m", "openams", "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert "complete -o default" in shown.stdout, shown.stderr


def test_programs_begin_where_ctrl_c_is_caught_from_the_start():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == dict.fromkeys(("openams", "ams"), "openams.entry:main")
