"""Whose audit files are believed."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from openams.cli.main import app
from openams.control import audit
from openams.errors import BenchError


def verify(path, keystore, *more):
    command = ["ration", str(path), "--verify", "--keystore", str(keystore), *more]
    outcome = CliRunner().invoke(app, command)
    if outcome.exception and not isinstance(outcome.exception, (BenchError, SystemExit)):
        raise outcome.exception
    return outcome.exit_code, outcome.output + str(outcome.exception or "")


def test_a_signature_counts_when_its_key_is_known_otherwise(tmp_path):
    keystore = tmp_path / "keystore"
    path = tmp_path / "plan.audit.json"
    forger = Ed25519PrivateKey.generate()
    audit.write(path, {"counts": {"done": 0}}, forger)
    code, text = verify(path, keystore)
    assert code and "--audit-key" in text
    key = audit.signing_key(keystore)
    code, text = verify(path, keystore)
    assert code and "another key" in text
    audit.write(path, {"counts": {"done": 1}}, key)
    assert verify(path, keystore)[0] == 0
    elsewhere = tmp_path / "other"
    assert verify(path, elsewhere, "--audit-key", audit.own_key(keystore).upper())[0] == 0
    assert not (tmp_path / "other.audit").exists()
