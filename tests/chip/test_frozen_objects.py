"""Methods and classes of the frozen code are objects in flash: Python to whoever uses them."""

import hashlib

import pytest

from openams.runtimes.rp2040.firmware_image import image
from openams.runtimes.rp2040.repl import ReplChip


@pytest.fixture(scope="module")
def chip():
    return ReplChip(image("pico-bench"))


def test_functions_take_what_they_took(chip):
    """Default values of functions and methods, names, generators, and what wraps a method."""
    said = chip.run("""
from ams.clock.local import utc_ms_of
print(utc_ms_of(2000, 1, 1), utc_ms_of(2000, 1, 1, ms=5), utc_ms_of(2000, month=1, day=2))
from ams.registers.identity import Identity
print(repr(Identity().meter_id), Identity("7").meter_id, Identity(meter_type="M").meter_type)
from ams.update.digest import hash_steps, run
print(run(hash_steps(lambda at, piece: None, 0, 2000)).hex())
from ams.han.list_view import View
class Meter:
    system = "3P4W"
print(View(Meter, None, None, None).system, View._stale_mwh)
from ams.control.limiter import Settings
print(Settings.unpack(None).groups)
from ams.objects.register import Energy, Register
print(issubclass(Energy, Register), Energy.__name__)
try:
    utc_ms_of()
except TypeError as error:
    print(error)
""")
    assert said.splitlines() == [
        "0 5 86400000", "'' 7 M", hashlib.sha256(bytes(2000)).hexdigest(), "3P4W None", "[]",
        "True Energy", "function takes 3 positional arguments but 0 were given",
    ]  # fmt: skip


def test_a_class_in_flash_is_subclassed_and_not_changed(chip):
    said = chip.run("""
from ams.registers.identity import Identity
class Named(Identity):
    def __init__(self, name):
        super().__init__(name)
    def name(self):
        return self.meter_id
print(Named("7").name())
try:
    Identity.meter_id = "8"
except AttributeError:
    print("refused")
""")
    assert said.splitlines() == ["7", "refused"]


def test_globals_outlive_their_module(chip):
    """The start-up forgets what it chose by, and goes on using what it was given."""
    said = chip.run("""
import gc, sys
from ams.control.limiter import Settings
from ams.han.list_view import View, nearest
import ams.han.list_view as view
view.mark = 1
for name in list(sys.modules):
    if name.startswith("ams"):
        del sys.modules[name]
del view
gc.collect()
waste = [bytearray(64) for _ in range(1000)]
del waste
print(nearest(1499, 1000), Settings.unpack(None).pack()[:1])
import ams.han.list_view as view
print(hasattr(view, "mark"), view.View is View, view.nearest(1500, 1000))
""")
    assert said.splitlines() == ["1 b'\\x01'", "False False 2"]


def test_what_a_module_takes_of_the_heap(chip):
    """Names and classes: functions, and what a class holds, are in flash."""
    said = chip.run("""
import gc
import ams.storage, micropython, struct
gc.collect()
before = gc.mem_alloc()
import ams.storage.journal
gc.collect()
print(gc.mem_alloc() - before)
""")
    # Its 30 functions and their places in dicts would be 900 more.
    assert int(said) < 1400, said
