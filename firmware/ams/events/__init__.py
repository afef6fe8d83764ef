# What happens to a meter: the codes of its events and their logs, the groups that they are shown
# in, and how often what kind may be told or stored (token_bucket.py, pace.py). Every room may tell
# one.
