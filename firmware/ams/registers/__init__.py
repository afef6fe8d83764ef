# What the meter has counted: energy registers, intervals, billing periods, demands, and the record
# that keeps them. Begin at recorder.py, where everything that ends at a moment ends.
