"""What a bench sees of the meter and does to it; the same on every board."""

import gc

from ams.events.events import LOG_NAMES, log_of
from ams.events.names import name_of
from ams.han.port import make_quirk
from ams.metrology.fixed import angle
from ams.registers.energy import REGISTER_NAMES
from ams.storage.layout import REGISTERS


def operate(meter, order, raw_ms):
    """What the grid operator, or somebody at the case, does at `raw_ms` of the board's clock."""
    if "capture_period_s" in order:
        meter.tick(raw_ms)
        meter.set_capture_period(order["capture_period_s"])
    if "clock_step_ms" in order:
        meter.set_clock(raw_ms, meter.clock.utc_ms(raw_ms) + order["clock_step_ms"])
    if "clock_sync_error_ms" in order:
        meter.sync_clock(raw_ms, meter.clock.utc_ms(raw_ms) + order["clock_sync_error_ms"])
    if "event" in order:
        meter.tamper(order["event"])
    if "quirk" in order:
        meter.han.misbehave(make_quirk(order["quirk"], meter.han, 1), meter.utc_ms)
        meter.wake()
    if order.get("power_fail"):
        meter.power_fail()
    if "mbus_install" in order and meter.model.submeters is not None:
        # As the operator does, by the channel's method 1.
        meter.model.submeters.port.install(order["mbus_install"] - 1, order["mbus_install"])
    if "display" in order and meter.display is not None:
        # Who has no button: "next" item or "list".
        meter.display.press(meter.raw_ms, order["display"] == "list")
    if order.get("power_back"):
        meter.supply_back()


def snapshot(meter):
    """The meter's quantities, registers and counters as a dict."""
    # Before what is told takes some itself.
    heap_used = gc.mem_alloc() if hasattr(gc, "mem_alloc") else None
    q = meter.quantities
    energy = meter.energy
    t = energy.transformers

    def powers(values):
        return [t.power(value) for value in values]

    return {
        "utc_ms": meter.utc_ms,
        "quantities": {
            "voltage_mv": [t.voltage(value) for value in q.voltage_mv],
            "current_ua": [t.current(value) for value in q.current_ua],
            "active_power_mw": powers(q.active_power_mw),
            "reactive_power_mvar": powers(q.reactive_power_mvar),
            "apparent_power_mva": powers(q.apparent_power_mva),
            "power_factor_permille": list(q.power_factor_permille),
            "thd_voltage_permille": list(q.thd_voltage_permille),
            "thd_current_permille": list(q.thd_current_permille),
            "neutral_current_ua": None
            if q.neutral_current_ua is None
            else t.current(q.neutral_current_ua),
            "total_active_power_mw": t.power(q.total_active_power_mw),
            "total_reactive_power_mvar": t.power(q.total_reactive_power_mvar),
            "total_apparent_power_mva": t.power(q.total_apparent_power_mva),
            "frequency_mhz": q.frequency_mhz,
            "status": q.status,
            "voltage_angle_cdeg": angles(meter.metrology.voltage_phasors()),
        },
        # Of the primary side, like the quantities.
        "registers": dict(zip(REGISTER_NAMES, [value * t.unit for value in energy.mwh])),
        "remainder_uws": energy.remainder_uws,
        "rates_mwh": [value * t.unit for value in energy.rates.all()[:8]],
        "max_demand_mw": [value * t.unit for value in energy.max_demand_mw],
        "max_demand_utc_ms": energy.max_demand_utc_ms,
        "breaker": breaker(meter.control),
        "display": display(meter.display),
        "han": {
            "open": meter.han.is_open,
            "sent": meter.han.sent,
            "missed": meter.han.missed,
            "late_max_ms": meter.han.late_max_ms,
        },
        "home": home(meter.home),
        "profile": {
            "capture_period_s": meter.recorder.load_profile.period_s,
            "entries": meter.recorder.load_profile.number,
            "clock_status": meter.clock.status,
        },
        "event_numbers": meter.nv_memory.event_numbers(),
        "storage": {
            "kept": meter.nv_memory.takes(REGISTERS),
            "found": meter.nv_memory.found,
            "unknown": meter.nv_memory.unknown,
            "damaged": meter.nv_memory.damaged,
            "failed": meter.nv_memory.failed,
        },
        "samples_missing": meter.sample_watch.sets_missing,
        "samples_late": meter.sample_watch.sets_late,
        "faults": meter.faults.count,
        "heap_used": heap_used,
        "heap_free": gc.mem_free() if hasattr(gc, "mem_free") else None,
    }


def home(it):
    """Of the home automation, None where there is none."""
    return {"state": it.state, "published": it.published} if it is not None else None


def angles(phasors):
    """Of each against the first, in hundredths of a degree from 0 to 35999: 24000 lags by
    120 degrees. None where there are none: nothing was sampled."""
    if not any(x or y for x, y in phasors):
        return None
    turns = [angle(x, y) for x, y in phasors]
    return [((t - turns[0]) * 36000 + 0x800000 >> 24) % 36000 for t in turns]


def breaker(control):
    """State (0 disconnected, 1 connected, 2 ready), contact, mode and what it did."""
    it = control.breaker
    return {
        "state": it.state,
        "connected": it.output_state,
        "mode": it.mode,
        "movements": it.movements,
        "alarms": it.alarms,
    }


def display(it):
    """What the display of the case shows, None: there is none."""
    if it is None:
        return None
    which, title, at, count = it.place
    return {
        "item": it.item, "testing": it.testing,
        "list": which, "title": title, "at": at, "count": count,
    }  # fmt: skip


def result(meter, aggregate):
    """The snapshot, with the means since power-up: an Aggregate."""
    out = snapshot(meter)
    out["aggregate"] = aggregate.result()
    return out


def events(meter):
    """The events since power-up, oldest first: time, code, name, detail, log, extra."""
    for when, code, detail, extra in meter.events.entries():
        yield when, code, name_of(code), detail, LOG_NAMES[log_of(code)], extra
