"""The company's report: the regulator's figures 1 to 11, and the chain's own.

`model` is plain data, `national` the figures of the regulator's report, `regulator` and `chain`
make figures from what the store has, `gather` asks it, `page` and `table` write them, `health`
says the same to machines.
"""
