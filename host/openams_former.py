"""Names that modules had before they moved into rooms (docs/decisions/0012-rooms.md).

Scripts that import the meter or the bench by a former name get the module itself, with a
DeprecationWarning, until the next release but one. In a checkout's environment this is there from
the start (tools/install.py), apart from the package, which has no former names; nothing of the
project's own may use it (tests/unit/test_former.py).
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec

# Every start of Python in this environment comes by here: importlib.abc, which has the classes of
# loaders and finders, would take it a tenth of a second.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

FORMER = {
    # What `from ams.cosem.objects import NAME` asks for.
    "ams.objects.association_ln": "ams.cosem.association_ln",
    "ams.objects.base": "ams.cosem.access",
    "ams.objects.disconnect": "ams.objects.disconnect_control",
    "ams.objects.image": "ams.objects.image_transfer",
    "ams.objects.limiter": "ams.objects.limiter_object",
    "ams.objects.profile": "ams.objects.profile_generic",
    "ams.objects.readout": "ams.objects.readout_setup",
    "ams.objects.security_setup": "ams.cosem.security_setup",
    "ams.accounts": "ams.registers.accounts",
    "ams.alarms": "ams.objects.alarms",
    "ams.case": "ams.control.case",
    "ams.catalogue": "ams.objects.catalogue",
    "ams.cosem.objects": "ams.objects",
    "ams.cosem.objects.association_ln": "ams.cosem.association_ln",
    "ams.cosem.objects.base": "ams.cosem.access",
    "ams.cosem.objects.calendar": "ams.objects.calendar",
    "ams.cosem.objects.clock": "ams.objects.clock",
    "ams.cosem.objects.columns": "ams.objects.columns",
    "ams.cosem.objects.data": "ams.objects.data",
    "ams.cosem.objects.disconnect": "ams.objects.disconnect_control",
    "ams.cosem.objects.han_port": "ams.objects.han_port",
    "ams.cosem.objects.image": "ams.objects.image_transfer",
    "ams.cosem.objects.limiter": "ams.objects.limiter_object",
    "ams.cosem.objects.link_setup": "ams.objects.link_setup",
    "ams.cosem.objects.mbus": "ams.objects.mbus",
    "ams.cosem.objects.profile": "ams.objects.profile_generic",
    "ams.cosem.objects.push_setup": "ams.objects.push_setup",
    "ams.cosem.objects.readout": "ams.objects.readout_setup",
    "ams.cosem.objects.register": "ams.objects.register",
    "ams.cosem.objects.schedule": "ams.objects.schedule",
    "ams.cosem.objects.secrets": "ams.objects.secrets",
    "ams.cosem.objects.security_setup": "ams.cosem.security_setup",
    "ams.cosem.objects.stored": "ams.objects.stored",
    "ams.cosem.objects.view": "ams.objects.view",
    "ams.cosem.results": "ams.results",
    "ams.feed": "ams.registers.sample_watch",
    "ams.firmware_keeper": "ams.update.meter_updater",
    "ams.han.axdr": "ams.han.list_axdr",
    "ams.han.hdlc": "ams.han.list_hdlc",
    "ams.han.push": "ams.han.push_lists",
    "ams.han.view": "ams.han.list_view",
    "ams.han_keeper": "ams.han.port_settings",
    "ams.keeper": "ams.registers.recorder",
    "ams.mbus.port": "ams.mbus.capture",
    "ams.memory": "ams.registers.nv_memory",
    "ams.meter_sources": "ams.han.meter_sources",
    "ams.metrology.meter": "ams.metrology.metrology",
    "ams.model": "ams.objects.model",
    "ams.octets": "ams.crypto.octets",
    "ams.periods": "ams.registers.periods",
    "ams.push": "ams.objects.push",
    "ams.rebuild": "ams.registers.rebuild",
    "ams.registers.clock": "ams.clock.local",
    "ams.registers.events": "ams.events.events",
    "ams.registers.groups": "ams.events.groups",
    "ams.registers.keeper": "ams.registers.recorder",
    "ams.registers.memory": "ams.registers.nv_memory",
    "ams.registers.meter_clock": "ams.clock.meter_clock",
    "ams.registers.own_time": "ams.clock.own_time",
    "ams.registers.pace": "ams.events.pace",
    "ams.registers.pulses": "ams.metrology.pulses",
    "ams.registers.quality": "ams.metrology.quality",
    "ams.registers.quantities": "ams.metrology.quantities",
    "ams.registers.feed": "ams.registers.sample_watch",
    "ams.registers.share": "ams.events.token_bucket",
    "ams.events.share": "ams.events.token_bucket",
    "ams.registers.submeters": "ams.mbus.submeters",
    "ams.registers.supply": "ams.control.supply",
    "ams.registers.transfer": "ams.results",
    "ams.registers.transformers": "ams.metrology.transformers",
    "ams.ring": "ams.storage.ring",
    "ams.settings": "ams.storage.settings",
    "ams.status": "ams.metrology.status",
    "ams.submeters": "ams.mbus.submeter_port",
    "ams.timing": "ams.clock.timing",
    "ams.update.firmware_keeper": "ams.update.meter_updater",
    "ams.update.transfer": "ams.results",
    "ams.upkeep": "ams.registers.upkeep",
    "openams.faultlab.flash": "openams.emulator.faulty_flash",
    "openams.firmware_image": "openams.runtimes.rp2040.firmware_image",
    "openams.gateway": "openams.lines.gateway",
    "openams.guests": "openams.lines.guests",
    "openams.hanformats": "openams.han.formats",
    "openams.hankeys": "openams.keys.hankeys",
    "openams.hanline": "openams.lines.hanline",
    "openams.image.reasons": "openams.client.update_reasons",
    "openams.linkports": "openams.lines.linkports",
    "openams.liveview": "openams.bench.liveview",
    "openams.mbusline": "openams.lines.mbusline",
    "openams.measure": "openams.bench.measure",
    "openams.operator_line": "openams.bench.operator_line",
    "openams.options": "openams.bench.options",
    "openams.orders": "openams.bench.orders",
    "openams.pictures": "openams.bench.pictures",
    "openams.profiles": "openams.bench.profiles",
    "openams.ptylink": "openams.lines.ptylink",
    "openams.quirks": "openams.bench.quirks",
    "openams.reader": "openams.han.octet_reader",
    "openams.run_summary": "openams.bench.run_summary",
    "openams.session": "openams.bench.session",
    "openams.state": "openams.runtimes.state",
}
# Of what is in a module: its names, and attributes of a class in it.
NAMES = {
    "ams.han.port_settings": {"HanKeeper": "PortSettings"},
    "ams.registers.nv_memory": {"Memory": "NvMemory"},
    "ams.registers.recorder": {"Keeper": "Recorder"},
    "ams.results": {
        "BUSY": "TEMPORARY_FAILURE",
        "DENIED": "READ_WRITE_DENIED",
        "DONE": "SUCCESS",
        "NOT_STORED": "HARDWARE_FAULT",
        "REFUSED": "OTHER_REASON",
    },
    "ams.update.meter_updater": {"FirmwareKeeper": "MeterUpdater"},
}
ATTRIBUTES = {
    ("ams.meter", "Meter"): {
        "han_keeper": "han_settings",
        "keeper": "recorder",
        "memory": "nv_memory",
    },
}


class _Alias:
    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        from importlib import import_module

        module = import_module(self._name)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own


class _Renamed:
    """Loads a module, and lets what is in it be asked for by its former names."""

    def __init__(self, loader: Any) -> None:
        self._own = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._own.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own
        if module.__spec__:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        names = NAMES.get(module.__name__)
        if names:
            module.__dict__["__getattr__"] = _former_names(module, names)
        for (name, owner), attributes in ATTRIBUTES.items():
            if name == module.__name__:
                for former, now in attributes.items():
                    setattr(getattr(module, owner), former, _former_attribute(former, now))


def _former_names(module: ModuleType, names: dict[str, str]) -> Any:
    def former_name(name: str) -> Any:
        now = names.get(name)
        if now is None:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        _warn(f"{module.__name__}.{name}", now)
        return getattr(module, now)

    return former_name


def _former_attribute(former: str, now: str) -> property:
    def get(own: Any) -> Any:
        _warn(f"{type(own).__name__}.{former}", now)
        return getattr(own, now)

    return property(get)


def _warn(former: str, now: str) -> None:
    import warnings

    warnings.warn(f"{former} is {now} now", DeprecationWarning, stacklevel=3)


_HOLDERS = {*NAMES, *(module for module, _ in ATTRIBUTES)}


class _Finder:
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname in _HOLDERS:
            return self._renamed(fullname, path, target)
        name = FORMER.get(fullname)
        if name is None:
            return None
        _warn(fullname, name)
        return ModuleSpec(fullname, _Alias(name), is_package=fullname == "ams.cosem.objects")

    def _renamed(self, fullname: str, path: Any, target: Any) -> ModuleSpec | None:
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                spec.loader = _Renamed(spec.loader)  # type: ignore[assignment]
                return spec
        return None


def install() -> None:
    """From here on former names lead to the modules of now."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        # Before the others: a room may have a file of that name by now, for something else.
        sys.meta_path.insert(0, _Finder())
