"""The real firmware image, built once by tools/firmware."""

from __future__ import annotations

from pathlib import Path

import pytest

from openams.runtimes.rp2040.firmware_image import image as build_image


@pytest.fixture(scope="session")
def image() -> Path:
    return build_image("pico-bench")
