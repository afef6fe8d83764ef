"""Scenarios by name and by file: the one place that knows all kinds."""

from __future__ import annotations

from pathlib import Path

from openams.grid.scenario import SYSTEMS, Scenario, ScenarioError


def load(spec: str, system: str | None = None, seed: int = 1) -> Scenario:
    """The scenario of a file or of a built-in name. Raises ScenarioError."""
    if system is not None and system not in SYSTEMS:
        raise ScenarioError(f"--system {system!r} is unknown: choose one of {', '.join(SYSTEMS)}")
    if spec == "house":
        from openams.grid.house import House

        return House(system or "3P4W", seed)
    if spec == "year":
        from openams.grid.year import Year

        return Year(system or "3P4W", seed)
    if spec == "feeder":
        from openams.grid.feeder import Feeder

        return Feeder(system or "3P3W")
    if spec == "fault":
        from openams.grid.fault import Fault

        return Fault(system or "3P4W", seed)
    scenario = _load_file(spec, system)
    if system is not None and scenario.system != system:
        raise ScenarioError(
            f"{spec} is {scenario.system}, not {system}: leave --system out or change it"
        )
    return scenario


def _load_file(spec: str, system: str | None) -> Scenario:
    # A file's own name may have a #.
    text, _, case = (spec, "", "") if Path(spec).is_file() else spec.partition("#")
    path = Path(text)
    if not path.is_file():
        raise ScenarioError(
            f"no scenario {spec!r}: name a file, or one of house, year, fault, feeder"
        )
    if path.suffix.lower() == ".json":
        from openams.grid.cases import pick_case

        return pick_case(path, case or None)
    if case:
        raise ScenarioError(f"{path} has no cases: leave #{case} out")
    if path.suffix.lower() == ".dat" and path.with_suffix(".cfg").is_file():
        raise ScenarioError(f"{path} is the data of a COMTRADE record: name {path.stem}.cfg")
    if path.suffix.lower() in (".cfg", ".cff"):
        from openams.grid.recording import load_comtrade

        return load_comtrade(path)
    from openams.grid.household import load_household

    return load_household(path, system)
