"""The operator's side of breaker and limiter: sealed orders, plans of rationing, their results.

Begin at client.py; whoever has no keys of it reads and moves nothing.
"""
