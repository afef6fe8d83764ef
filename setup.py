"""Puts the firmware's sources into the wheel; everything else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("firmware", "boards")


class BuildWithFirmware(build_py):
    """In the checkout they stay where they are: an editable install copies nothing."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        inside = Path(self.build_lib) / "openams" / "_firmware"
        shutil.rmtree(inside, ignore_errors=True)
        for folder in FOLDERS:
            shutil.copytree(
                folder, inside / folder, ignore=shutil.ignore_patterns("__pycache__", "*.mpy")
            )


setup(cmdclass={"build_py": BuildWithFirmware})
