"""`ams ration`: one action on a list of meters; a dry run first."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from openams.cli.common import JsonOption
from openams.cli.keys import KeystoreOption, PassphraseOption
from openams.errors import BenchError
from openams.keys.opening import default_path, open_keystore
from openams.private import check_folder
from openams.terminal import say


def ration(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN.csv", help="meter_id,url,group,...")],
    action: Annotated[str, typer.Option(help="disconnect or reconnect.")] = "disconnect",
    execute: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="The token that the dry run shows.")
    ] = None,
    critical: Annotated[
        Path | None, typer.Option(help="File with more numbers of critical meters, one a line.")
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option(
            help="PLAN.results.jsonl else, of a reconnection PLAN.reconnect.results.jsonl."
        ),
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(help="PLAN.audit.json else, PLAN.reconnect.audit.json.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Take an interrupted run up.")] = False,
    rate: Annotated[float, typer.Option(metavar="N", help="Meters a minute.")] = 60.0,
    jobs: Annotated[int, typer.Option(help="Meters at a time.")] = 4,
    pause: Annotated[float, typer.Option(metavar="S", help="Between groups.")] = 0.0,
    max_failures: Annotated[int, typer.Option(help="Stop at so many.")] = 10,
    timeout: Annotated[float, typer.Option(metavar="S", help="To wait for an answer.")] = 10.0,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="PLAN.csv is an audit or result file: check who signed it."),
    ] = False,
    audit_key: Annotated[
        str | None, typer.Option(metavar="HEX", help="For --verify: the signer's, if not yours.")
    ] = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Disconnect or reconnect a list of meters. Without --execute it only says what it would do.

    Ends with 0 when every meter is as wanted or is left alone as critical, else with 1.
    """
    from openams.control import audit as audits
    from openams.control.ration import ACTIONS, Pace, Results, Run, audit_record, load_plan

    if verify:
        _verify(plan_file, audit_key, keystore or default_path(), as_json)
        return
    if action not in ACTIONS:
        raise BenchError(f"--action {action!r} is unknown: choose one of {', '.join(ACTIONS)}")
    if not 0 < rate <= 60_000 or not 1 <= jobs <= 64 or max_failures < 1 or pause < 0:
        raise BenchError("--rate is above 0, --jobs from 1 to 64, --max-failures from 1")
    plan = load_plan(plan_file, _numbers(critical))
    token = plan.token(action)
    if execute is None:
        _dry_run(plan, action, token, as_json)
        return
    if execute != token:
        raise BenchError("that is not the token of this plan and action: do a dry run first")
    store = open_keystore(keystore, passphrase_file)
    kind = "" if action == "disconnect" else f".{action}"
    path = result or plan_file.with_suffix(f"{kind}.results.jsonl")
    audit_path = audit or plan_file.with_suffix(f"{kind}.audit.json")
    check_folder(audit_path.parent, "name another place with --audit")
    results = Results(path, plan, action, resume, store.path)
    for notice in results.notices:
        say(f"ams: {notice}", error=True)
    started = datetime.now(UTC)
    run = Run(
        plan,
        action,
        store,
        results,
        Pace(rate, jobs, pause, max_failures, timeout),
        (lambda record: None) if as_json else _print_result,
    )
    before = {
        number: signal.signal(number, lambda *_: run.stop("interrupted"))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        run.play()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        record = audit_record(run, results, started)
        results.close()
        audits.write(audit_path, record, results.key)
    _print_end(record, results.path, as_json)
    if run.stopped_because or failed(record["counts"]):
        raise typer.Exit(1)


def _verify(path: Path, audit_key: str | None, keystore: Path, as_json: bool) -> None:
    """An audit file with the results beside it, or a result file alone."""
    from openams.control import audit as audits
    from openams.control import results

    # Anybody can sign: it must be with a key that is known otherwise.
    trusted = audit_key or audits.own_key(keystore)
    if trusted is None:
        raise BenchError("no audit key beside the keystore: name the signer's with --audit-key")
    key = audits.public_key(trusted)
    if results.is_results(path):
        found = results.verify(path, key, keystore)
        counts = ", ".join(f"{count} {name}" for name, count in found["counts"].items() if count)
        text = f"{found['lines']} lines of {trusted.lower()}, unchanged: {counts or 'none done'}"
        if not found["whole"]:
            text += "; whether more came after them cannot be told"
    else:
        found = audits.verify(path, trusted.lower())
        more = results.compare(found, path.parent, key)
        text = f"signed by {found['public_key']}, unchanged" + (f"; {more}" if more else "")
    say(json.dumps(found) if as_json else text)


def failed(counts: dict[str, int]) -> int:
    """How many meters are not as was wanted, though nobody said that they should be left alone."""
    return sum(counts[name] for name in ("offline", "late", "refused", "begun"))


def _numbers(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}") from None
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _dry_run(plan: Any, action: str, token: str, as_json: bool) -> None:
    from openams.control.ration import stages

    excluded = [entry.meter_id for entry in plan.entries if entry.critical]
    groups = {name: sum(not entry.critical for entry in entries) for name, entries in stages(plan)}
    if as_json:
        say(
            json.dumps(
                {
                    "dry_run": True,
                    "action": action,
                    "meters": len(plan.entries) - len(excluded),
                    "groups": groups,
                    "excluded": excluded,
                    "token": token,
                }
            )
        )
        return
    for name, count in groups.items():
        say(f"group {name or '-'}: {action} {count} meters")
    for meter_id in excluded:
        say(f"critical, left alone: {meter_id}")
    say(f"nothing was done; to do it: --execute {token}")


def _print_result(record: dict[str, Any]) -> None:
    say(f"{record['meter_id']} {record['status']:<8} {record['detail']}")


def _print_end(record: dict[str, Any], path: Path, as_json: bool) -> None:
    shown = {key: record[key] for key in ("action", "counts", "stopped", "notices")}
    if as_json:
        say(json.dumps({**shown, "results": record["results"]}))
        return
    counts = ", ".join(f"{count} {name}" for name, count in record["counts"].items() if count)
    say(f"{counts or 'nothing to do'}; results in {path}")
    if record["stopped"]:
        say(f"stopped: {record['stopped']}; go on with --resume")
    elif failed(record["counts"]):
        say("not all are as wanted: --resume tries those once more that were offline or late")
