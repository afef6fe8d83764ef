"""How a concentrator reaches its meters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from openams.client.client import public_session
from openams.client.errors import ClientError
from openams.client.links import Transport, Url, open_link, parse_url
from openams.concentrator.roster import Listed
from openams.errors import BenchError

# A name is asked for in passing: who does not say it at once is asked another time.
_NAME_S = 2.0
_SCAN_MOST = 4096


class Way(Protocol):
    def add(self, listed: Listed) -> None:
        """A meter that was found."""

    def open(self, meter_id: str, client_sap: int, timeout_s: float) -> Transport:
        """A link to the meter. Raises LinkError."""

    def signal_dbm(self, meter_id: str) -> int | None:
        """As the net measures it; None where nothing does."""

    def visible(self) -> Iterator[tuple[str, str]]:
        """(name, url) of the meters that answer now and may be new; a name as its device has it."""


class TcpWay:
    """Each meter at a URL. `scan`: where new ones may be found, as (host, first port, last)."""

    def __init__(self, meters: Iterable[Listed], scan: tuple[str, int, int] | None = None) -> None:
        self._urls = {listed.meter_id: parse_url(listed.url) for listed in meters}
        self._scan = scan

    def add(self, listed: Listed) -> None:
        self._urls[listed.meter_id] = parse_url(listed.url)

    def url(self, meter_id: str) -> Url:
        return self._urls[meter_id]

    def open(self, meter_id: str, client_sap: int, timeout_s: float) -> Transport:
        return open_link(self._urls[meter_id], client_sap, timeout_s)

    def signal_dbm(self, meter_id: str) -> int | None:
        return None

    def visible(self) -> Iterator[tuple[str, str]]:
        if self._scan is None:
            return
        host, first, last = self._scan
        known = {(url.host, url.port) for url in self._urls.values()}
        for port in range(first, last + 1):
            if (host, port) in known:
                continue
            url = parse_url(f"tcp://{host}:{port}")
            try:
                with public_session(url, _NAME_S) as client:
                    name = client.get(1, "0.0.42.0.0.255", 2)
            except ClientError:
                continue
            if isinstance(name, bytes) and len(name) == 16:
                yield name.decode("ascii", "replace"), url.text


def parse_scan(text: str) -> tuple[str, int, int]:
    """`host:first-last`."""
    host, _, ports = text.rpartition(":")
    first, mark, last = ports.partition("-")
    try:
        found = host, int(first), int(last) if mark else int(first)
        if not host or not 1 <= found[1] <= found[2] <= 65535 or found[2] - found[1] >= _SCAN_MOST:
            raise ValueError
    except ValueError:
        raise BenchError(f"--scan {text!r}: write it like 127.0.0.1:6000-6099") from None
    return found
