"""`ams image`: firmware from its sources to a meter that runs it (docs/update.md)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openams.cli.common import JsonOption, group
from openams.cli.keys import KeystoreOption, PassphraseOption, meter_first
from openams.cli.meter import Access, ClientOption, UrlArgument, takes_access
from openams.cli.output import print_values, progress
from openams.errors import BenchError
from openams.image.file import Image, load_all, save_all
from openams.keys.keystore import Keystore
from openams.keys.opening import open_keystore
from openams.keys.releasekey import public_key
from openams.meter_time import from_utc_ms, parse_time, to_utc_ms
from openams.terminal import say

if TYPE_CHECKING:
    from openams.image.transfer import Sender

app = group("Firmware images: build, sign, send.")

_File = Annotated[Path, typer.Argument(metavar="FILE", help="An image.")]
_Expires = Annotated[
    str | None,
    typer.Option(
        "--expires",
        metavar="ISO-TIME",
        help="Until when the meter takes it; 14 days, or as it was released before.",
    ),
]
_VALID = timedelta(days=14)
# A release that is nearly over is not used once more.
_LEAST_LEFT = timedelta(hours=1)


# --- files -------------------------------------------------------------------------------


@app.command(epilog="Example: ams image key")
def key(
    trust: Annotated[
        str | None,
        typer.Option("--trust", metavar="HEX", help="Give meters this public key of another's."),
    ] = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the key that signs releases, or show its public half. The secret one stays inside."""
    store = open_keystore(keystore, passphrase_file)
    if trust is not None:
        try:
            octets = bytes.fromhex(trust)
        except ValueError:
            octets = b""
        public_key(octets)
        store.trust_release(octets.hex())
    public = store.release_public(make=True)
    say(json.dumps({"public_key": public}) if as_json else str(public))


@app.command(epilog="Example: ams image build pico image.bin --against base")
def build(
    board: Annotated[
        str,
        typer.Argument(metavar="BOARD", help="unix (the bench), pico, pico-ab, pico2, esp32 ..."),
    ],
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Image to write.")],
    source: Annotated[
        Path | None, typer.Option(help="Folder with firmware/ and boards/; else this version's.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="The same of the base it was flashed with: what differs goes in."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="MODULE", help="Like ams/meter; may be repeated.")
    ] = None,
    minimum: Annotated[
        str | None, typer.Option(help="Oldest base that it may stand before; that of --against.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--as-version", help="In place of that of the sources.")
    ] = None,
    security: Annotated[
        int | None, typer.Option("--as-security", help="Security version, likewise.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an image of a board's modules, .py for the bench, .mpy for a chip; or of a firmware."""
    from openams.image import package

    if board in package.WHOLE:
        if source or against or only or version or security is not None:
            raise BenchError(f"{board} takes a whole firmware: only --minimum can be given")
        images = package.make_whole(board, _firmware(board), minimum or "0.0.0")
    else:
        images = [package.make(board, source, against, only, minimum, version, security)]
    save_all(out, images)
    _print_image(out, images, as_json)


def _firmware(board: str) -> Path:
    """The folder of a firmware, which is built when it is not there."""
    from openams.runtimes.rp2040.firmware_image import image

    return image(board).parent


@app.command(epilog="Example: ams image sign image.bin")
def sign(
    file: _File,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign an image, in its file, with the release key."""
    secret = open_keystore(keystore, passphrase_file).release_key()
    images = [image.signed(secret) for image in load_all(file)]
    save_all(file, images)
    _print_image(file, images, as_json)


@app.command(epilog="Example: ams image show image.bin")
def show(file: _File, as_json: JsonOption = False) -> None:
    """Show what an image says of itself."""
    images = load_all(file)
    _print_image(file, images, as_json)
    if not as_json:
        for entry in images[0].contents()["files"]:
            say(f"  {entry['name']:<40} {entry['size']:>6} octets, {entry['packed']:>6} packed")


@app.command(epilog="Example: ams image release 7359990000000017 image.bin released.bin")
def release(
    meter_id: Annotated[str, typer.Argument(metavar="METER_ID")],
    image_file: Annotated[str, typer.Argument(metavar="FILE", help="A signed image.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Image for this meter alone.")],
    expires: _Expires = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Release a signed image to one meter, in a file that any client can send."""
    number, file = meter_first(meter_id, image_file)
    store = open_keystore(keystore, passphrase_file)
    store.get(number).demand_settled("update")
    images = _released(load_all(file), file, store, number, expires)
    save_all(out, images)
    _print_image(out, images, as_json)


def _released(
    images: list[Image], path: Path, store: Keystore, meter_id: str, expires: str | None
) -> list[Image]:
    if not all(image.is_signed for image in images):
        raise BenchError(f"{path} is not signed: ams image sign {path}")
    public = store.release_public()
    if public and not all(image.is_signed_by(public) for image in images):
        raise BenchError(f"{path} is signed by another key than the meter was given")
    keys = store.get(meter_id)
    now = datetime.now(UTC)
    before = keys.released or {}
    if expires:
        end = parse_time("--expires", expires)
        if end <= now:
            raise BenchError(f"--expires {expires} is over already")
    elif before.get("manifest") == images[0].manifest_hash and (
        from_utc_ms(before["expiry_s"] * 1000) - now > _LEAST_LEFT
    ):
        # The same octets as before: a transfer that was cut off goes on.
        end = from_utc_ms(before["expiry_s"] * 1000)
    else:
        end = now + _VALID
    expiry_s = to_utc_ms(end) // 1000
    store.note_release(meter_id, images[0].manifest_hash, expiry_s)
    title = bytes.fromhex(keys.system_title)
    return [image.released(title, expiry_s, keys.key("update")) for image in images]


def _print_image(path: Path, images: list[Image], as_json: bool) -> None:
    image = images[0]
    said = image.contents()
    said |= {
        "file": str(path),
        "identifier": image.identifier.decode(),
        "signed": image.is_signed,
        "released_to": image.title.hex() if image.is_released else None,
        "expires": image.expires,
    }
    if "origin" in said:
        # Its own octets differ, being linked for another place.
        said["halves"] = [f"{half.contents()['origin']:#x}" for half in images]
        del said["origin"]
    if as_json:
        say(json.dumps(said))
        return
    state = "signed" if image.is_signed else "not signed"
    if image.is_released:
        state += f", released to {image.title.hex()} until {image.expires}"
    say(
        f"{path}: {said['product']} {said['version']} for {said['board']}, "
        f"{_parts(said)}, {said['octets'] / 1024:.1f} KiB, {state}"
    )


def _parts(said: dict[str, Any]) -> str:
    if "halves" in said:
        return f"a whole firmware, for {len(said['halves'])} of its halves"
    return f"{len(said['files'])} files"


# --- a meter -------------------------------------------------------------------------------


def _sender(access: Access, url: str, retries: int = 5) -> Sender:
    from openams.image.transfer import Sender

    return Sender(access.connector(url, "update"), retries)


def _settle_update_key(access: Access, url: str, meter_id: str) -> None:
    """After a rotation that was cut off the meter is asked which update key it has."""
    if "update" in access.store.get(meter_id).pending_secrets:
        from openams.client.rotation import settle

        with access.connected(url, "update") as meter:
            settle(meter, access.store, "update")


def _moment(at: str | None) -> datetime | None:
    if at is None:
        return None
    when = parse_time("--at", at)
    if when <= datetime.now(UTC):
        raise BenchError(f"--at {at} is over already")
    return when


_Wait = Annotated[
    float, typer.Option(metavar="S", help="How long to wait for the new code to be confirmed.")
]
_At = Annotated[
    str | None, typer.Option("--at", metavar="ISO-TIME", help="Activate then, by the minute.")
]


@app.command(epilog="Example: ams image send tcp://127.0.0.1:4059 image.bin --activate")
@takes_access
def send(
    url: UrlArgument,
    file: _File,
    access: Access,
    now: Annotated[bool, typer.Option("--activate", help="Activate it at once.")] = False,
    at: _At = None,
    expires: _Expires = None,
    block_size: Annotated[int, typer.Option(help="64, 128 or 256 octets.")] = 256,
    retries: Annotated[int, typer.Option(help="Breaks of the link in a row.")] = 5,
    wait: _Wait = 180.0,
    as_json: JsonOption = False,
) -> None:
    """Release a signed image to a meter, send it, and have it verified; then activate it.

    Called again after a break it sends only what is missing.
    """
    from openams.image.transfer import BLOCK_SIZES

    if block_size not in BLOCK_SIZES:
        raise BenchError(f"--block-size {block_size} is none: 64, 128 or 256")
    if now and at:
        raise BenchError("--activate and --at exclude each other")
    when = _moment(at)
    images = load_all(file)
    number = access.identify(url)
    if not images[0].is_released:
        _settle_update_key(access, url, number)
        images = _released(images, file, access.store, number, expires)
    sender = _sender(access, url, retries)
    image = sender.choose(images)
    if when and to_utc_ms(when) // 1000 + 60 >= image.expiry_s:
        raise BenchError(f"the image expires at {image.expires}: give --expires after --at")
    with progress("blocks", as_json) as told:
        sender.send(image, block_size, told)
    done: dict[str, Any] = {
        "meter_id": number,
        "identifier": image.identifier.decode(),
        "state": "verified",
        "blocks_sent": sender.sent,
        "breaks": sender.breaks,
    }
    _activated(sender, done, now, when, wait, as_json)


@app.command(epilog="Example: ams image activate tcp://127.0.0.1:4059 --at 2026-12-31T03:00:00")
@takes_access
def activate(
    url: UrlArgument,
    access: Access,
    at: _At = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Forget the time that was set.")] = False,
    wait: _Wait = 180.0,
    as_json: JsonOption = False,
) -> None:
    """Activate what was sent and verified, now or at a time, and wait until it is confirmed."""
    if cancel and at:
        raise BenchError("--cancel and --at exclude each other")
    when = _moment(at)
    done: dict[str, Any] = {"meter_id": access.identify(url)}
    if cancel:
        from openams.image.transfer import unschedule

        with access.connected(url, "update") as meter:
            unschedule(meter)
        print_values(done | {"activates_at": None}, as_json)
        return
    _activated(_sender(access, url), done, when is None, when, wait, as_json)


def _activated(
    sender: Sender,
    done: dict[str, Any],
    now: bool,
    when: datetime | None,
    wait_s: float,
    as_json: bool,
) -> None:
    """Prints `done` and what became of it; exit code 1 when the new code was given up."""
    if when:
        done["activates_at"] = sender.activate_at(when).isoformat()
    elif now:
        sender.activate()
        found = sender.outcome(wait_s)
        done |= {name: found[name] for name in ("state", "version", "slot", "last_refusal")}
    print_values(done, as_json)
    if done.get("state") == "activation-failed":
        raise BenchError("the meter has gone back to what ran before: the self-test did not pass")


@app.command(epilog="Example: ams image status tcp://127.0.0.1:4059")
@takes_access
def status(
    url: UrlArgument,
    access: Access,
    client: ClientOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how far a transfer is, what the meter runs, and why it refused the last image."""
    from openams.image.transfer import status as status_of

    role = client or "reader"
    with access.connected(url, role) as meter:
        found = status_of(meter)
    print_values(found, as_json)
