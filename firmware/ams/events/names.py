"""What the codes of events are called, for people: no meter needs it for itself."""

from ams.events import events as ev

_OWN_NAMES = (
    "state-restored energy-missing storage-formatted storage-unknown samples-saturated "
    "samples-missing samples-late clock-valid events-suppressed software-fault"
)
_CONTROL_NAMES = (
    "ready-for-reconnection manual-disconnection manual-connection remote-disconnection "
    "remote-connection local-disconnection limiter-exceeded limiter-ok limiter-changed "
    "disconnect-failure local-reconnection"
)
_OWN_CONTROL_NAMES = (
    "control-refused order-armed breaker-welded breaker-no-voltage breaker-mismatch "
    "emergency-begin emergency-end quota-warning quota-exceeded reconnections-used-up"
)
# First code, names of it and those that follow.
_NAMES = (
    (ev.POWER_DOWN, "power-down power-up dst-changed clock-adjusted-old"),
    (ev.CLOCK_ADJUSTED_NEW, "clock-adjusted-new clock-invalid"),
    (ev.NV_MEMORY_ERROR, "nv-memory-error watchdog-error measurement-error"),
    (ev.FIRMWARE_READY, "firmware-ready firmware-activated"),
    (ev.FIRMWARE_ROLLED_BACK, "firmware-rolled-back firmware-damaged"),
    (ev.TERMINAL_COVER_REMOVED, "terminal-cover-removed terminal-cover-closed"),
    (ev.MAGNETIC_FIELD, "magnetic-field magnetic-field-gone"),
    (ev.METER_COVER_REMOVED, "meter-cover-removed meter-cover-closed"),
    (ev.AUTHENTICATION_FAILED, "authentication-failed"),
    (ev.PARAMETER_CHANGED, "parameter-changed"),
    (ev.KEYS_CHANGED, "keys-changed decryption-failed replay-attack firmware-refused"),
    (ev.READY_FOR_RECONNECTION, _CONTROL_NAMES),
    (ev.CONTROL_REFUSED, _OWN_CONTROL_NAMES),
    (ev.ORDERS_ANEW, "orders-anew"),
    (ev.UNDERVOLTAGE, "undervoltage-l1 undervoltage-l2 undervoltage-l3"),
    (ev.OVERVOLTAGE, "overvoltage-l1 overvoltage-l2 overvoltage-l3"),
    (ev.MISSING_VOLTAGE, "missing-voltage-l1 missing-voltage-l2 missing-voltage-l3"),
    (ev.NORMAL_VOLTAGE, "normal-voltage-l1 normal-voltage-l2 normal-voltage-l3"),
    (ev.MISSING_NEUTRAL, "missing-neutral"),
    (ev.CURRENT_REVERSED, "current-reversed"),
    (ev.STATE_RESTORED, _OWN_NAMES),
    (ev.PHASE_LOST, "phase-lost phase-back voltage-lost voltage-back neutral-back"),
    (ev.CLOCK_CHIP_ERROR, "clock-chip-error clock-chip-back service-line-held"),
    (ev.SERVICE_LINE_BACK, "service-line-back measurement-back"),
    (ev.HAN_OPENED, "han-opened han-closed"),
    (ev.EVENT_LOG_CLEARED, "event-log-cleared"),
)


def name_of(code):
    for first, names in _NAMES:
        if first <= code:
            names = names.split()
            if code < first + len(names):
                return names[code - first]
    return "?"
