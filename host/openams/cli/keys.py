"""`ams keys`: makes, shows and lists the keys of meters; where the keystore is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openams.bench.options import DEFAULT_METER_ID
from openams.cli.common import JsonOption, group
from openams.errors import BenchError
from openams.keys.opening import ask, default_path, open_keystore, passphrase_of, read_passphrase
from openams.private import write_private
from openams.terminal import say

if TYPE_CHECKING:
    # Every command names a keystore, and few open one: it takes a tenth of a second to load.
    from openams.keys.model import MeterKeys

app = group("Keys of meters, in an encrypted keystore.")

KeystoreOption = Annotated[
    Path | None,
    typer.Option("--keystore", envvar="OPENAMS_KEYSTORE", help="The keystore, docs/keys.md."),
]
PassphraseOption = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File with the keystore's passphrase.")
]
_ListOption = Annotated[
    Path | None, typer.Option("--list", help="File with meters' numbers, one a line.")
]
_MeterArgument = Annotated[str, typer.Argument(metavar="METER_ID", help="GS1 number, 16 digits.")]


def check_meter_id(meter_id: str) -> str:
    if not meter_id.isdigit() or len(meter_id) != 16:
        raise BenchError(f"{meter_id!r} is no meter number: give a GS1 number of 16 digits")
    return meter_id


def meter_first(first: str, second: str) -> tuple[str, Path]:
    """(meter's number, file) of two arguments; the other way round was right once."""
    if first.isdigit() or not second.isdigit():
        return check_meter_id(first), Path(second)
    return check_meter_id(second), Path(first)


@app.command(epilog="Example: ams keys new 7359990000000017")
def new(
    meter_id: Annotated[
        str | None, typer.Argument(metavar="METER_ID", help="GS1 number, 16 digits.")
    ] = None,
    numbers: _ListOption = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the keys of a meter, or of a list of them: random, each its own. Prints none of them."""
    if (meter_id is None) == (numbers is None):
        raise BenchError("name a meter, or a list of them with --list FILE")
    wanted = [check_meter_id(meter_id)] if meter_id else _listed(numbers)
    store = open_keystore(keystore, passphrase_file)
    made = store.new_all(wanted)
    if meter_id is None:
        answer: dict[str, Any] = {"made": len(made)}
    else:
        answer = {"meter_id": meter_id, "system_title": made[0].system_title}
    what = f"meter {meter_id}" if meter_id else f"{len(made)} meters"
    say(json.dumps(answer) if as_json else f"made the keys of {what} in {store.path}")


def _listed(path: Path | None) -> list[str]:
    """Meters' numbers of a file: one a line, or the first column of a CSV with a head."""
    if path is None:
        raise BenchError("name a list of meters with --list FILE")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from None
    seen: dict[str, int] = {}
    for at, line in enumerate(lines, 1):
        number = line.replace(";", ",").split(",")[0].strip().strip('"')
        if not number or at == 1 and not number.isdigit():
            continue
        if not number.isdigit() or len(number) != 16:
            raise BenchError(f"{path} line {at}: {number!r} is no meter number: 16 digits")
        if number in seen:
            raise BenchError(f"{path} line {at}: {number} stands in line {seen[number]} already")
        seen[number] = at
    if not seen:
        raise BenchError(f"{path} names no meter")
    return list(seen)


@app.command(epilog="Example: ams keys takeover --keystore old --passphrase-file secret")
def takeover(
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a keystore of the former form, one sealed text, into today's, in its place."""
    from openams.keys import handover
    from openams.keys.sealed import SCRYPT_N_PERSON, SCRYPT_N_RANDOM

    chosen = keystore or default_path()
    if not handover.is_former(chosen):
        raise BenchError(f"{chosen} is no keystore of the former form: there is nothing to do")
    passphrase, random = passphrase_of(chosen, passphrase_file)
    cost = SCRYPT_N_RANDOM if random else SCRYPT_N_PERSON
    meters = handover.takeover(chosen, passphrase, cost)
    say(json.dumps({"meters": meters}) if as_json else f"{chosen}: {meters} meters taken over")


@app.command(epilog="Example: ams keys readers collector.keys --to-passphrase-file secret")
def readers(
    collector: Annotated[Path, typer.Argument(help="The collector's keystore; made if not there.")],
    to_passphrase_file: Annotated[
        Path | None, typer.Option(help="File with the collector's passphrase.")
    ] = None,
    numbers: _ListOption = None,
    back: Annotated[bool, typer.Option("--back", help="Take them back from there.")] = False,
    lost: Annotated[
        bool, typer.Option("--lost", help="That keystore is gone: use them here again.")
    ] = False,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a collector the readers' keys of meters, in a keystore that moves and changes nothing.

    They are used there alone from then on: a counter has one owner.
    """
    from openams.keys import handover
    from openams.keys.keystore import Keystore

    store = open_keystore(keystore, passphrase_file)
    if lost:
        if collector.exists():
            raise BenchError(f"{collector} is there: take them back with --back")
        done, word = handover.give_up(store, collector), "here again"
    else:
        if not to_passphrase_file and not sys.stdin.isatty():
            raise BenchError(f"give the passphrase of {collector} with --to-passphrase-file")
        secret = read_passphrase(to_passphrase_file) if to_passphrase_file else ask(collector)
        other = Keystore(collector, secret)
        wanted = _listed(numbers) if numbers else None
        if back:
            done, word = handover.take_back(store, other, wanted), "taken back"
        else:
            chosen = wanted if wanted is not None else sorted(store.meters())
            done, word = handover.give_readers(store, other, chosen), "given"
    say(
        json.dumps({"meters": done}) if as_json else f"{collector}: readers of {done} meters {word}"
    )


@app.command("list", epilog="Example: ams keys list")
def list_(
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the meters that have keys; prints no key."""
    meters = open_keystore(keystore, passphrase_file).meters()
    rows = [
        {
            "meter_id": number,
            "system_title": keys.system_title,
            "rotating": keys.pending_kek is not None or bool(keys.pending_secrets),
        }
        for number, keys in sorted(meters.items())
    ]
    if as_json:
        say(json.dumps(rows))
        return
    for row in rows:
        say(f"{row['meter_id']} {row['system_title']}" + (" rotating" * bool(row["rotating"])))
    if not rows:
        say("no keys: make some with ams keys new METER_ID")


@app.command(epilog="Example: ams keys show 7359990000000017 --json")
def show(
    meter_id: Annotated[
        str, typer.Argument(metavar="METER_ID", help="GS1 number; the bench's own without it.")
    ] = DEFAULT_METER_ID,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a client needs: SAPs, titles, KEYS and counters. Whoever sees it can use them.

    Each call hands out other counters, so that one client after the other may begin there.
    """
    keys = open_keystore(keystore, passphrase_file).hand_out(check_meter_id(meter_id))
    if as_json:
        say(json.dumps(keys.shown()))
    else:
        _print_keys(keys)


def _print_keys(keys: MeterKeys) -> None:
    shown = keys.shown()
    say(f"meter {shown['meter_id']}, system title {shown['system_title']}, SAP 1, suite 0")
    for client in shown["clients"]:
        say(f"client {client['name']}, SAP {client['sap']}: {client['security']}")
        if client["mechanism"]:
            say(f"  system title        {client['system_title']}")
            say(f"  encryption key      {client['encryption_key']}")
            say(f"  authentication key  {client['authentication_key']}")
            say(f"  next counter        {client['next_counter']}")
        if "pending" in client:
            say("  a rotation is under way: the meter may have these already")
            say(f"  encryption key      {client['pending']['encryption_key']}")
            say(f"  authentication key  {client['pending']['authentication_key']}")
    if keys.readers_only:
        return
    say(f"KEK                   {shown['kek']}")
    say(f"breaker key           {shown['breaker_key']}")
    say(f"update key            {shown['update_key']}")
    say(f"HAN encryption key    {shown['han']['encryption_key']}")
    say(f"HAN authentication key {shown['han']['authentication_key']}")


@app.command(epilog="Example: ams keys rotate 7359990000000017 tcp://127.0.0.1:4059")
def rotate(
    meter: Annotated[
        list[str],
        typer.Argument(metavar="[METER_ID] URL", help="The number is found out without it."),
    ],
    at_url: Annotated[str | None, typer.Option("--url", help="URL as an option.")] = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Give a meter new keys, all of them, over the link. May be cut off and called again."""
    from openams.client.client import identify
    from openams.client.links import parse_url
    from openams.client.rotation import rotate as rotate_keys

    # What is no number is meant to be a URL, and the error says what one looks like.
    numbers = [text for text in meter if text.isdigit()]
    urls = [text for text in meter if not text.isdigit()] + ([at_url] if at_url else [])
    if len(urls) != 1 or len(numbers) > 1:
        raise BenchError("write it like ams keys rotate METER_ID tcp://host:4059")
    where = parse_url(urls[0])
    store = open_keystore(keystore, passphrase_file)
    meter_id = check_meter_id(numbers[0]) if numbers else identify(where, store, timeout).meter_id
    names = rotate_keys(where, store, meter_id, timeout)
    if as_json:
        say(json.dumps({"meter_id": meter_id, "rotated": names}))
    else:
        say(f"new keys for {', '.join(names)}")


@app.command(epilog="Example: ams keys han 7359990000000017 han-keys.json")
def han(
    meter_id: _MeterArgument,
    file: Annotated[Path, typer.Argument(help="File to write, for ams han watch --keys.")],
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the keys of a meter's encrypted lists, those before too, to a file of your own."""
    keys = open_keystore(keystore, passphrase_file).get(check_meter_id(meter_id))
    pairs = [pair for pair in (keys.pending_secrets.get("han"), keys.han, keys.han_before) if pair]
    write_private(file, json.dumps({"keys": pairs}).encode() + b"\n")
    if as_json:
        say(json.dumps({"file": str(file), "pairs": len(pairs)}))
    else:
        say(f"{file}: {len(pairs)} pair(s) of keys")
