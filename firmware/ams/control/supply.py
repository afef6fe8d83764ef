"""What the breaker and the limiter show of themselves: the names that other rooms need."""

from micropython import const

# Results of what is asked of the breaker; all others are refusals, see control.command.
OK = const(0)
NOT_STORED = const(14)

CONTROL_MODES = const(7)

# Local events: what the limiter, the quota and schedules do.
LOCAL_DISCONNECT = const(2)
LOCAL_RECONNECT = const(5)

# What the limiter monitors.
AVERAGE_IMPORT = const(0)  # mean active import over the window, in mW
CURRENT_L1 = const(1)  # in mA; 1 to 3 one phase, 4 the largest
CURRENT_MAX = const(4)
MONITORED_COUNT = const(5)

# Selectors of the breaker's script table.
ACTION_NONE = const(0)
ACTION_DISCONNECT = const(1)
ACTION_RECONNECT = const(2)

GROUPS_MAX = const(8)
WINDOW_MAX_S = const(3600)
# Of the limiter, in an hour.
RECONNECTIONS_MAX = const(3)
THRESHOLD_OFF = const(0xFFFFFFFF)
