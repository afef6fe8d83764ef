# The meter's time: local time, the clock that is shown, own time by which things act, and the one
# way in which somebody may tell it the time (timing.py). Begin at meter_clock.py.
