"""The control of a meter; or of one that nobody can command, whose breaker stays as it is.

MicroPython as it comes on a Pico has no room for the two-way link, over which alone the operator
sets a limit or sends an order, nor for what obeys one.
"""

from ams.control.supply import THRESHOLD_OFF


class _NoLimiter:
    threshold_active = THRESHOLD_OFF


class Unswitched:
    """What other rooms ask of control.Control."""

    connected = True
    has_relay = False
    reconnecting = False
    limiter = _NoLimiter()

    def start(self, now_ms, utc_ms):
        pass

    def take(self, duration_ms, power_mw, now_ms, utc_ms):
        pass

    def poll(self, now_ms, utc_ms, pressed=False):
        pass

    def clock_moved(self, step_ms):
        pass


def make_control(board, cells, meter, policy, config):
    """What holds the breaker of a board, if it has one; see control.Control."""
    try:
        from ams.control.control import Control
    except ImportError:
        if "security" in config:
            # Somebody could command it, and nothing would happen.
            raise
        return Unswitched()
    relay = getattr(board, "relay", None)
    return Control(relay, cells, meter, policy, meter.breaker_secrets)
