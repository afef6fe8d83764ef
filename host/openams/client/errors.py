"""What can go wrong with a meter at the other end: one line each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from openams.errors import BenchError

# Data-access-result and action-result, IEC 62056-5-3.
RESULTS = {
    0: "success",
    1: "hardware fault",
    2: "temporary failure",
    3: "read or write denied",
    4: "object undefined",
    9: "object class inconsistent",
    11: "object unavailable",
    12: "type unmatched",
    13: "scope of access violated",
    14: "data block unavailable",
    15: "long operation aborted",
    16: "no long operation in progress",
    17: "long set aborted",
    18: "no long set in progress",
    19: "data block number invalid",
    250: "other reason",
}


class ClientError(BenchError):
    """The meter, or the way to it, did not do what was asked."""


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Where a meter's answers are made sense of: values of another form than `what` has are the
    meter's error, whatever Python says of them."""
    try:
        yield
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise ClientError(f"the meter's {what}: what it says is not what they are") from error


class LinkError(ClientError):
    """No answer, or one that is no answer on this link."""


class LateError(LinkError):
    """Somebody is there, but no answer came in time."""


class QuietError(LinkError):
    """The meter took the request, and has no answer to it."""


class RefusedError(ClientError):
    """The meter refused an association."""


class ResultError(ClientError):
    """The meter answered a request with an error; `result` is its number."""

    def __init__(self, what: str, result: int) -> None:
        super().__init__(f"{what}: {RESULTS.get(result, f'error {result}')}")
        self.result = result


class ServiceError(ClientError):
    """An exception response: `service_error` is its second octet, `counter` what it expects."""

    def __init__(self, state_error: int, service_error: int, counter: int | None) -> None:
        names = {
            1: "operation not possible",
            2: "service not supported",
            3: "other reason",
            4: "message too long",
            5: "deciphering error",
            6: "invocation counter error",
        }
        super().__init__(
            f"the meter answers: {names.get(service_error, f'error {service_error}')}"
            f" (exception {state_error}/{service_error})"
        )
        self.service_error = service_error
        self.counter = counter
