"""Quantities that hold for a time, for benches whose time runs faster than samples can."""

from ams.metrology import quantities as qu


def hold(meter, raw_ms, duration_ms, clock, fill=None):
    """Lets quantities that are known hold from `raw_ms` on for `duration_ms`.

    Energy is power times time, and every list goes out at its own moment. What is sent at the
    very end waits for the values that begin there. `clock.set(utc_ms)` is called as the time
    runs. `fill(connected)` fills `quantities` at the begin and when the breaker has moved;
    without it they are as they stand.
    """
    control = meter.control
    connected = control.connected
    if fill is not None:
        fill(connected)
    utc_ms = meter.clock.utc_ms(raw_ms)
    if utc_ms >= meter._due:
        clock.set(utc_ms)
        meter._advance(utc_ms, raw_ms)
    active, reactive = _counted_power(meter)
    meter.quality.look(utc_ms)
    end = raw_ms + duration_ms
    while raw_ms < end:
        # The correction of the clock changes slowly: within a step it stands still.
        step = min(end - raw_ms, max(meter._due - utc_ms, 1))
        most = control.due_ms(active)
        due_ms = meter.case.due_ms()
        if due_ms is not None and (most is None or due_ms - raw_ms < most):
            most = max(due_ms - raw_ms, 1)
        if most is not None and most < step:
            step = most
        meter.recorder.count(active * step, reactive * step, active < 0)
        meter.recorder.voltage.add(step)
        raw_ms += step
        utc_ms = meter.clock.utc_ms(raw_ms)
        meter.utc_ms = utc_ms
        control.take(step, active, raw_ms, utc_ms)
        if utc_ms >= meter._due and raw_ms < end:
            clock.set(utc_ms)
            meter._advance(utc_ms, raw_ms)
        elif most is not None:
            clock.set(utc_ms)
            meter._look(raw_ms)
        if fill is not None and control.connected != connected:
            connected = control.connected
            fill(connected)
            active, reactive = _counted_power(meter)
    meter.raw_ms = meter.recorder.raw_ms = raw_ms
    meter.measured_ms += duration_ms
    meter._close_hour(utc_ms)
    meter.recorder.advance(utc_ms)


def _counted_power(meter):
    """Net power, or none when it is less than the starting power.

    Given quantities know their sum best; how it was split over the
    elements may be a guess of whoever made them.
    """
    q = meter.quantities
    active = q.total_active_power_mw
    reactive = q.total_reactive_power_mvar
    starting = meter.calibration.starting_power_mva
    q.status = 0
    if active * active + reactive * reactive < starting * starting:
        q.status = qu.STATUS_NO_LOAD
        return 0, 0
    return active, reactive
