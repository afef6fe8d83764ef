# Samples to quantities and energy, in integers. Begin at metrology.py: kernel.py sums,
# window_end.py makes quantities of the sums, phases.py and quality.py say what is odd about them.
