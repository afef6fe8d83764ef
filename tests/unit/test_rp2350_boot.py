"""tools/rp2350_boot.py: keys, what goes into the OTP of an RP2350, and signing by picotool."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))

import rp2350_boot  # noqa: E402


def call(*arguments):
    return rp2350_boot.main([str(argument) for argument in arguments])


@pytest.fixture
def key(tmp_path):
    assert call("key", tmp_path / "key.pem") == 0
    return tmp_path / "key.pem"


def test_a_key_is_its_owners_and_never_overwritten(key, capsys):
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    assert call("key", key) == 1 and key.read_bytes() == before
    assert "never overwritten" in capsys.readouterr().err


def test_the_fingerprint_is_of_the_public_key_as_openssl_has_it(key, tmp_path):
    der = subprocess.run(
        ["openssl", "ec", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True
    ).stdout
    # The last 65 octets are 04, x and y.
    assert der[-65] == 4
    folder = tmp_path / "otp"
    assert call("otp", key, folder) == 0
    keys = json.loads((folder / "1-keys.json").read_text())
    assert keys == {"bootkey0": list(hashlib.sha256(der[-64:]).digest())}


def test_what_is_burnt_in_which_order(key, tmp_path):
    spare = tmp_path / "spare.pem"
    assert call("key", spare) == 0
    folder = tmp_path / "otp"
    assert call("otp", key, spare, folder) == 0
    files = {path.name: json.loads(path.read_text()) for path in folder.iterdir()}
    assert sorted(files) == ["1-keys.json", "2-valid.json", "3-lock.json"]
    # Nothing but hashes before anybody has read them back, and no lock before a signed image ran.
    assert set(files["1-keys.json"]) == {"bootkey0", "bootkey1"}
    assert files["2-valid.json"] == {"boot_flags1": {"key_valid": 0b11}}
    assert files["3-lock.json"]["boot_flags1"] == {"key_invalid": 0b1100}
    assert files["3-lock.json"]["crit1"]["secure_boot_enable"] == 1
    assert files["1-keys.json"]["bootkey0"] != files["1-keys.json"]["bootkey1"]


PICOTOOL = """#!{python}
import json, pathlib, sys
_, seal, _, _, source, out, key, said = sys.argv
assert seal == "seal"
pathlib.Path(out).write_bytes(b"signed " + pathlib.Path(source).read_bytes())
pathlib.Path(said).write_text(json.dumps({{"bootkey0": {octets}}}))
"""


def test_another_fingerprint_of_picotools_is_no_signature(key, tmp_path, monkeypatch, capsys):
    ours = list(rp2350_boot.fingerprint(rp2350_boot.load(key)))
    program, source, out = tmp_path / "picotool", tmp_path / "a.elf", tmp_path / "b.elf"
    source.write_bytes(b"code")
    monkeypatch.setenv("PICOTOOL", str(program))
    for octets, code in ((ours, 0), (ours[::-1], 1)):
        program.write_text(PICOTOOL.format(python=sys.executable, octets=octets))
        program.chmod(0o755)
        assert call("sign", key, source, out) == code
        assert out.exists() == (code == 0)
    assert "another fingerprint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("otp", "no.pem", "otp"), "No such file"),
        (("otp", "rsa.pem", "otp"), "no key on secp256k1"),
        (("otp", "text.pem", "otp"), "no key in PEM"),
        (("otp", "key.pem", "key.pem", "otp"), "the same as the first"),
        (("otp", *["key.pem"] * 5, "otp"), "too many"),
        (("sign", "key.pem", "a", "b"), "no picotool"),
    ],
)
def test_what_is_wrong_is_one_line(key, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PICOTOOL", raising=False)
    (tmp_path / "text.pem").write_text("text")
    subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "rsa.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setattr(rp2350_boot.shutil, "which", lambda name: None)
    assert call(*arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error
    assert not (tmp_path / "otp").exists()
