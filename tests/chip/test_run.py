"""`ams run --runtime rp2040`, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from openams.lines.displayline import png

AMS = Path(sys.executable).with_name("ams")


def ams(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(AMS), "run", "--runtime", "rp2040", "--speed", "max", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_a_run_and_what_it_leaves_in_the_state(image, tmp_path):
    """The image that the chip wrote is read by the others: one flash, every runtime."""
    face = tmp_path / "face.png"
    done = ams("--scenario", "house", "--system", "1P2W", "--duration", 2, "--state", tmp_path,
               "--start", "2026-01-31T12:00:00", "--json",
               "--display", f"ssd1306:{face}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["runtime"] == "rp2040" and result["sampled"]
    assert set(result) >= {"registers", "quantities", "profile", "events", "han", "missed", "heap"}
    # In its first seconds it has all pixels on: the chip's I2C has set it up.
    assert face.read_bytes() == png([[True] * 128] * 64)
    assert sum(result["registers"][name] for name in ("a_plus_mwh", "a_minus_mwh")) > 0
    assert result["missed"] == {"samples": 0, "samples_late": 0, "lists": 0}
    again = subprocess.run(
        [str(AMS), "run", "--scenario", "house", "--system", "1P2W", "--speed", "max",
         "--duration", "60", "--start", "2026-01-31T12:01:00", "--state", str(tmp_path), "--json"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    after = json.loads(again.stdout)
    assert "state-restored" in [event["name"] for event in after["events"]]
    for name in ("a_plus_mwh", "a_minus_mwh"):
        assert after["registers"][name] >= result["registers"][name]


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("kind", "seconds", "shown"), [("ssd1306", 6, "1.8.0 000000.0"), ("lcd", 8, "1.8.0     IMPORT")]
)
def test_a_display_shows_the_register(image, tmp_path, kind, seconds, shown):
    done = ams("--scenario", "house", "--system", "1P2W", "--duration", seconds, "--display", kind)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("  display [")]
    assert any(shown in line for line in lines), lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--duration", "1", "--front-end", "adc12", "--system", "3P4W"), "metering IC"),
        (("--duration", "1", "--front-end", "adc24", "--system", "1P2W"), "unknown"),
    ],
)
def test_what_a_pico_cannot_do_is_one_line(arguments, words):
    done = ams("--scenario", "house", *arguments)
    assert done.returncode != 0 and not done.stdout
    assert done.stderr.startswith("ams: ") and done.stderr.count("\n") == 1
    assert words in done.stderr
