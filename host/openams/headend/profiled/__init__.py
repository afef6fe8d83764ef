"""Points without intervals of their own: read by persons, or not metered at all.

`periods` makes volumes of periods of readings, `hours` spreads them over hours by a profile,
`control` says which points have to be read this year, `lamps` gives quarters of what is not
metered. All of these are pure; `run` does it for a store.
"""
