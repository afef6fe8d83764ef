# The meter's time: local time, the clock that is shown, the time of its own by which things act.
# The one way in which somebody may tell it the time is timing.py. Begin at meter_clock.py.
