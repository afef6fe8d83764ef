"""The operator's side of breaker and limiter."""
