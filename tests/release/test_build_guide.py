"""docs/boards/build.md: what it quotes the product says; its commands and events are there."""

from __future__ import annotations

import ast
import re
import shlex

import typer

from openams.cli.main import app
from openams.client.firmware_names import EVENTS
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "boards" / "build.md").read_text()
CONSOLE = ("boards/pico/loop.py", "boards/esp32/loop.py", "firmware/ams/meter.py")
CONFIG = "meter.json"  # what `%s` stands for where the ESP32 misses it


def said_by(*files):
    """Patterns of all texts in these files: what is put in may be anything."""
    found = []
    for file in files:
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(part.value) if isinstance(part, ast.Constant) else ".+"
                    for part in node.values
                ]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub("%[sd]", ".+", re.escape(node.value)))
    return found


def is_said(line, patterns):
    """By a text of which at least a third stands there as it is: `meter: %s` is none."""
    for pattern in patterns:
        firm = re.sub(r"\\(.)", r"\1", pattern.replace(".+", ""))
        if 3 * len(firm) >= len(line) and re.fullmatch(pattern, line):
            return True
    return False


def blocks():
    return [line[4:] for line in PAGE.splitlines() if line.startswith("    ")]


def test_lines_of_the_console_are_those_of_the_firmware():
    patterns = said_by(*CONSOLE)
    lines = [line.removeprefix("console: ") for line in blocks() if line.startswith("console: ")]
    table = re.findall(r"(?m)^\| `((?:meter|storage): [^`]+)` \|", PAGE)
    assert len(lines) >= 3 and len(table) >= 3
    for line in (*lines, *table):
        assert is_said(line, patterns), line
    assert not is_said("meter: it is not provisioned", patterns)


def test_answers_of_commands_are_those_of_the_command_line():
    patterns = said_by("host/openams/cli/flash.py")
    answers = [line for line in blocks() if not line.startswith(("console: ", "$ "))]
    assert len(answers) >= 4
    for line in answers:
        assert is_said(line, patterns), line
    assert not is_said("voltage: was wrong by 3 ppm", patterns)


def commands():
    quoted = re.findall(r"`(ams [^`]+)`", PAGE.replace("\n", " "))
    return [*quoted, *(line[2:] for line in blocks() if line.startswith("$ "))]


def test_commands_and_their_options_are_there():
    found = commands()
    assert len(found) >= 8
    for text in found:
        words = shlex.split(text)[1:]
        at = typer.main.get_command(app)
        while words and hasattr(at, "get_command"):
            named = at.get_command(None, words[0])
            assert named is not None, text
            at, words = named, words[1:]
        options = {option for parameter in at.params for option in parameter.opts}
        options |= {option for parameter in at.params for option in parameter.secondary_opts}
        for word in words:
            assert not word.startswith("--") or word in options, (text, word)


def test_events_are_those_of_the_firmware():
    names = re.findall(r"`([a-z]+(?:-[a-z]+)+)(?: [a-z-]+)?`", PAGE)
    files = {"pico-ab"}
    events = [name for name in names if name not in files]
    assert len(set(events)) >= 4
    for name in events:
        assert name in EVENTS.values(), name


def test_what_the_esp32_misses_is_named():
    assert f'CONFIG = "{CONFIG}"' in (ROOT / "boards" / "esp32" / "loop.py").read_text()
    assert f"no {CONFIG}" in PAGE
