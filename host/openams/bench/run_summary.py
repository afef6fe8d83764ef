"""What `ams run` says at the end: one JSON object, or some lines."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from openams.bench.profiles import named
from openams.client.event_details import event_text, means
from openams.meter_time import local_text
from openams.terminal import say

if TYPE_CHECKING:
    from openams.bench.session import Session


def summary_of(session: Session, result: dict[str, Any]) -> dict[str, Any]:
    """What `--json` prints."""
    from openams.bench.liveview import status_names

    quantities = dict(result["quantities"])
    quantities["status_names"] = status_names(quantities["status"])
    return {
        "meter_id": session.options.meter_id,
        "runtime": session.options.runtime,
        "scenario": session.scenario.name,
        "system": session.scenario.system,
        "sampled": session.sampled,
        "start": local_text(session.start_ms),
        "end": local_text(result["utc_ms"]),
        "simulated_s": session.progress.simulated_s,
        "wall_s": round(session.progress.wall_s, 3),
        "registers": result["registers"],
        "remainder_uws": result["remainder_uws"],
        "max_demand_mw": result["max_demand_mw"],
        "quantities": quantities,
        "capture_period_s": result["profile"]["capture_period_s"],
        "profile": [named("load", row) for row in result["entries"]],
        "storage": result["storage"],
        "events": [
            {
                "time": local_text(when),
                "log": log,
                "code": code,
                "name": name,
                "detail": detail,
                "extra": extra,
                "means": means(code, detail, extra),
            }
            for when, code, name, detail, log, extra in result["events"]
        ],
        "breaker": {
            **result["breaker"],
            "state": ("disconnected", "connected", "ready-for-reconnection")[
                result["breaker"]["state"]
            ],
        },
        "han": {**result["han"], "frames_sent": sum(result["han"]["sent"])},
        "mqtt": result.get("home"),
        "missed": {
            "samples": result["samples_missing"],
            "samples_late": result["samples_late"],
            "lists": result["han"]["missed"],
        },
        "heap": {"used": result["heap_used"], "free": result["heap_free"]},
    }


def print_summary(summary: dict[str, Any]) -> None:
    registers = summary["registers"]
    end = datetime.fromisoformat(summary["end"])
    say(
        f"stopped at {end:%Y-%m-%d %H:%M:%S%z}: {summary['simulated_s']:.0f} s simulated in "
        f"{summary['wall_s']:.1f} s"
    )
    say(
        f"A+ {registers['a_plus_mwh'] / 1e6:.6f} kWh, A- {registers['a_minus_mwh'] / 1e6:.6f} kWh, "
        f"R+ {registers['r_plus_mvarh'] / 1e6:.6f} kvarh, "
        f"R- {registers['r_minus_mvarh'] / 1e6:.6f} kvarh"
    )
    say(f"HAN frames sent {sum(summary['han']['sent'])}, events {len(summary['events'])}")
    if sys.stdout.isatty():
        for event in summary["events"][-5:]:
            say(f"  {event['time']} {event_text(event)}")
