"""Mosquitto of the tests' own: brokers on free ports of this machine, ended with them."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import ROOT
from tests.ports import free_port, until_it_listens

_WAIT_S = 90
_PATH = f"{os.environ['PATH']}:/usr/sbin"
NAME = "broker.test"


def program(name: str) -> str:
    """Installs it where that can be done; what cannot be had is an error in CI."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        subprocess.run(["sh", str(ROOT / "tools" / "mosquitto.sh")], check=False)
        found = shutil.which(name, path=_PATH)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no mosquitto, and it could not be installed")
        pytest.skip("no mosquitto: sudo apt-get install mosquitto mosquitto-clients")
    return found


class Mosquitto:
    """`lines` of its configuration beside the listener. `kill` is a power cut, `start` the next."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._config = folder / f"{self.port}.conf"
        user = "user root" if os.geteuid() == 0 else ""
        wanted = lines or ("allow_anonymous true",)
        self._config.write_text("\n".join([f"listener {self.port} 127.0.0.1", user, *wanted, ""]))
        self.log = folder / f"{self.port}.log"
        self._program = program("mosquitto")
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self._program, "-c", str(self._config)], stdout=log, stderr=log
            )
        until_it_listens(self.port, self.process, self.log)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()


class Subscriber:
    """Everything that a broker says, by mosquitto_sub: [(topic, payload, qos, retained)]."""

    def __init__(self, port: int, *arguments: str) -> None:
        self.heard: list[tuple[str, str, int, int]] = []
        self._process = subprocess.Popen(
            [program("mosquitto_sub"), "-h", "127.0.0.1", "-p", str(port), "-t", "#", "-q", "1",
             "-F", "%j", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            said = json.loads(line)
            self.heard.append((said["topic"], said["payload"], said["qos"], said["retain"]))

    def until(self, wanted, timeout_s: float = _WAIT_S):
        """The first message for which `wanted(topic, payload)` holds."""
        end = time.monotonic() + timeout_s
        seen = 0
        while time.monotonic() < end:
            while seen < len(self.heard):
                message = self.heard[seen]
                seen += 1
                if wanted(*message[:2]):
                    return message
            time.sleep(0.02)
        raise AssertionError(f"not said; {len(self.heard)} messages, last {self.heard[-3:]}")

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Certificates for a test, made when it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._number = 1
        certificate = self._made("authority", self._key.public_key(), -400, 400, True)
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.file = folder / "authority.pem"
        self.file.write_text(self.pem)

    def _made(self, name, key, first_day, last_day, is_authority=False):
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        self._number += 1
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("authority"))
            .public_key(key)
            .serial_number(self._number)
            .not_valid_before(now + first_day * day)
            .not_valid_after(now + last_day * day)
        )
        if is_authority:
            builder = builder.add_extension(x509.BasicConstraints(True, 0), True)
        else:
            names = x509.SubjectAlternativeName([x509.DNSName(name)])
            builder = builder.add_extension(names, False)
        return builder.sign(self._key, hashes.SHA256())

    def lines(self, name: str = NAME, first_day: int = -1, last_day: int = 30) -> tuple[str, ...]:
        """Of a broker's configuration: it shows a certificate of this name and time."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._made(name, key.public_key(), first_day, last_day)
        place = self.folder / f"{self._number}"
        place.with_suffix(".pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        place.with_suffix(".key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        return (
            "allow_anonymous true",
            f"certfile {place}.pem",
            f"keyfile {place}.key",
        )
