"""What files, meters and networks say does nothing to a terminal."""

from __future__ import annotations

import io
import json
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from openams import terminal
from openams.cli.client import _value_line
from openams.cli.main import app
from openams.errors import BenchError
from openams.han.errors import HanError

EVIL = "a\x1b[2K\x1b]0;owned\x07\r\x9b2J\x7f\u202eb\u2066c\udc80\n7359990000000017 done"
# What a terminal obeys, or what hides and turns text: Unicode's own classes, not our list.
OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Words and marks of scripts that need them to be read.
READ = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2") | {
    chr(code) for code in (0x110BD, 0x110CD, *range(0x13430, 0x13440), *range(0x1BCA0, 0x1BCA4),
                           *range(0x1D173, 0x1D17B))
}  # fmt: skip


def obeyed(text, but=""):
    return [
        character
        for character in text
        if unicodedata.category(character) in OBEYED and character not in READ | set(but)
    ]


def test_nothing_that_a_terminal_obeys_is_left():
    everything = "".join(map(chr, range(0x110000)))
    assert obeyed(terminal.clean(everything), but="\n\t") == []
    assert obeyed(terminal.one_line(everything)) == []
    kept = terminal.clean("blåbærsyltetøy µ ▁█ \n\t")
    assert kept == "blåbærsyltetøy µ ▁█ \n\t"


@given(st.text(st.characters(codec=None), max_size=50))
def test_a_line_of_json_is_still_one(text):
    line = json.dumps({"text": text})
    assert json.loads(terminal.one_line(line)) == {"text": text}
    line = json.dumps({"text": text}, ensure_ascii=False)
    assert json.loads(terminal.one_line(line)) == {"text": text}


def test_the_streams_are_guarded_and_given_back(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with terminal.guard(), terminal.guard():
        print(EVIL)
        terminal.say(EVIL)
    assert sys.stdout is out
    assert obeyed(out.getvalue(), but="\n") == []
    # `say` makes one line of it: nothing that is said forges another.
    assert out.getvalue().count("\n") == 3


def test_what_a_stream_cannot_write_is_written_as_an_escape(monkeypatch):
    octets = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(octets, encoding="ascii"))
    with terminal.guard():
        print("µ▁")
        sys.stdout.flush()
    assert octets.getvalue() == rb"\xb5\u2581" + b"\n"


def test_what_rich_draws_has_its_own_escapes_only(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    table = Table(title="[red]" + EVIL)
    table.add_column("[/]")
    table.add_row("[bold]x[/y]" + EVIL)
    with terminal.guard():
        console = terminal.console()
        console._force_terminal = True
        console.print(Panel(table, title=EVIL))
        console.print(Text(EVIL))
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert obeyed(drawn, but="\n") == [] and "[red]" in drawn and "[/y]" in drawn


def output_of(monkeypatch, *arguments):
    """What the program prints, of either stream, as a user would get it."""
    outcome = CliRunner().invoke(app, [str(argument) for argument in arguments])
    error = str(outcome.exception or "") if isinstance(outcome.exception, BenchError) else ""
    return outcome.output + terminal.one_line(error)


def test_a_plan_a_file_of_frames_and_cases_are_printed_without_effect(tmp_path, monkeypatch):
    plan = tmp_path / "plan.csv"
    plan.write_text(f"meter_id,url,group\n7359990000000017,tcp://127.0.0.1:1,\"{EVIL}\"\n",
                    errors="surrogatepass")  # fmt: skip
    frames = tmp_path / "frames.jsonl"
    frames.write_text(json.dumps({"frame": "7e", "source": EVIL}) + "\n")
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps({"cases": [{"name": EVIL}]}))
    for command in (
        ("ration", plan),
        ("ration", plan, "--verify"),
        ("han", "decode", frames),
        ("measure", cases),
        ("measure", tmp_path / EVIL.replace("/", "")),
        ("read", "tcp://" + EVIL),
        ("events", "tcp://127.0.0.1:1", "--log", EVIL),
        ("run", "--scenario", EVIL),
    ):
        said = output_of(monkeypatch, *command)
        assert said and obeyed(said, but="\n") == [], command


def test_errors_of_the_command_line_itself_are_cleaned(monkeypatch, capsys):
    from openams.cli import main as cli

    for arguments in (["--" + EVIL], [EVIL], ["run", "--speed", EVIL]):
        monkeypatch.setattr(sys, "argv", ["ams", *arguments])
        before = sys.stdout, sys.stderr
        with pytest.raises(SystemExit):
            cli.main()
        sys.stdout, sys.stderr = before
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and obeyed(said, but="\n") == []


def test_a_value_of_a_meter_makes_no_line_of_its_own(capsys):
    value = {"obis": "0.0.42.0.0.255", "class_name": EVIL, "attribute": 2, "value": EVIL}
    terminal.say(_value_line(value))
    terminal.say(f"ams: {HanError(EVIL)}")
    assert capsys.readouterr().out.count("\n") == 2
