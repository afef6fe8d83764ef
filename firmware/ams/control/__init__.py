# Disconnect control, limiter and ration: what they do, and who may make them do it.
# Begin at control.py; the case and its contacts are in case.py, the relay in breaker.py.
