"""What holds keys, or leads to a line, is nobody else's."""

from __future__ import annotations

import os
import stat
import tempfile

import pytest

from openams import ptylink
from openams.errors import BenchError
from openams.state import StateImage


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_state_image_is_read_by_its_owner_only(tmp_path):
    """The keys of the meter lie in it in clear."""
    before = os.umask(0o022)
    try:
        StateImage(tmp_path / "state").close()
    finally:
        os.umask(before)
    assert mode(tmp_path / "state" / "flash.bin") == mode(tmp_path / "state" / "slots.bin") == 0o600


def test_names_of_lines_are_not_looked_for_in_a_folder_of_others(tmp_path, monkeypatch):
    """Whoever made it first could lead a client to a line of his own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"openams-{os.getuid()}"
    assert ptylink.default_link("han").parent == folder and mode(folder) == 0o700
    folder.chmod(0o777)
    with pytest.raises(BenchError, match="name one with --han"):
        ptylink.default_link("han")
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BenchError):
        ptylink.default_link("han")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    (tmp_path / "openams-12345").mkdir(mode=0o700)
    with pytest.raises(BenchError):
        ptylink.default_link("han")
