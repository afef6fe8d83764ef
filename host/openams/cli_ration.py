"""`ams ration`: one action on a list of meters; a dry run first."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from openams.cli_meter import JsonOption
from openams.errors import BenchError
from openams.keys.cli import KeystoreOption, PassphraseOption, default_path, open_keystore


def ration(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN.csv", help="meter_id,url,group,...")],
    action: Annotated[str, typer.Option(help="disconnect or reconnect.")] = "disconnect",
    execute: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="The token that the dry run shows.")
    ] = None,
    critical: Annotated[
        Path | None, typer.Option(help="File with more numbers of critical meters, one a line.")
    ] = None,
    result: Annotated[Path | None, typer.Option(help="PLAN.results.jsonl else.")] = None,
    audit: Annotated[Path | None, typer.Option(help="PLAN.audit.json else.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Take an interrupted run up.")] = False,
    rate: Annotated[float, typer.Option(metavar="N", help="Meters a minute.")] = 60.0,
    jobs: Annotated[int, typer.Option(help="Meters at a time.")] = 4,
    pause: Annotated[float, typer.Option(metavar="S", help="Between groups.")] = 0.0,
    max_failures: Annotated[int, typer.Option(help="Stop at so many.")] = 10,
    timeout: Annotated[float, typer.Option(metavar="S", help="To wait for an answer.")] = 10.0,
    verify: Annotated[
        bool, typer.Option("--verify", help="PLAN.csv is an audit file: check who signed it.")
    ] = False,
    audit_key: Annotated[
        str | None, typer.Option(metavar="HEX", help="For --verify: the signer's, if not yours.")
    ] = None,
    keystore: KeystoreOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Disconnect or reconnect a list of meters. Without --execute it only says what it would do."""
    from openams.control import audit as audits
    from openams.control.ration import ACTIONS, Pace, Results, Run, audit_record, load_plan

    if verify:
        # Anybody can sign: it must be with a key that is known otherwise.
        trusted = audit_key or audits.own_key(keystore or default_path())
        if trusted is None:
            raise BenchError("no audit key beside the keystore: name the signer's with --audit-key")
        record = audits.verify(plan_file, trusted.lower())
        print(json.dumps(record) if as_json else f"signed by {record['public_key']}, unchanged")
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
    results = Results(result or plan_file.with_suffix(".results.jsonl"), plan, action, resume)
    started = datetime.now(UTC)
    run = Run(
        plan,
        action,
        store,
        results,
        Pace(rate, jobs, pause, max_failures, timeout),
        (lambda record: None) if as_json else _print_result,
    )
    key = audits.signing_key(store.path)
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
        audits.write(audit or plan_file.with_suffix(".audit.json"), record, key)
    _print_end(record, results.path, as_json)
    if run.stopped_because:
        raise typer.Exit(1)


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
        print(
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
        print(f"group {name or '-'}: {action} {count} meters")
    for meter_id in excluded:
        print(f"critical, left alone: {meter_id}")
    print(f"nothing was done; to do it: --execute {token}")


def _print_result(record: dict[str, Any]) -> None:
    print(f"{record['meter_id']} {record['status']:<8} {record['detail']}", flush=True)


def _print_end(record: dict[str, Any], path: Path, as_json: bool) -> None:
    shown = {key: record[key] for key in ("action", "counts", "stopped")}
    if as_json:
        print(json.dumps({**shown, "results": record["results"]}))
        return
    counts = ", ".join(f"{count} {name}" for name, count in record["counts"].items() if count)
    print(f"{counts or 'nothing to do'}; results in {path}")
    if record["stopped"]:
        print(f"stopped: {record['stopped']}; go on with --resume")
