"""Says in words what is missing, where pytest would only say that it knows no fixture `meter`."""

from importlib import metadata

import pytest


def pytest_configure(config):
    try:
        metadata.distribution("openams-meter")
    except metadata.PackageNotFoundError:
        raise pytest.UsageError(
            "these tests need the package openams-meter: pip install -e .[test], or its wheel, "
            f"see README.md{_other()}"
        ) from None


def _other():
    try:
        found = metadata.version("openams")
    except metadata.PackageNotFoundError:
        return ""
    return f" (openams {found} is installed, which is another project's)"
