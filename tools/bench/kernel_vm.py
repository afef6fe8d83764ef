"""Runs on the MicroPython VM: cost of the metrology per sample set, and heap in use."""

import gc
import json
import sys
import time
from array import array

from ams.metrology import kernel
from ams.metrology.calibration import Calibration
from ams.metrology.metrology import Metrology
from ams.metrology.quantities import Quantities

SETS = 80
ROUNDS = 250


def samples(elements):
    state = 1
    data = array("i", bytes(8 * elements * SETS))
    for k in range(len(data)):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        data[k] = ((state >> 7) & 0xFFFFF) - 0x80000
    return data


def time_ns(function, *args):
    """Least time of one call, of five rounds."""
    best = None
    for _ in range(5):
        start = time.time_ns()
        for _ in range(ROUNDS):
            function(*args)
        spent = time.time_ns() - start
        if best is None or spent < best:
            best = spent
    return best // ROUNDS


def pair():
    data = samples(3)
    args = kernel.new_arguments()
    for place, value in enumerate((0, 1, 6, SETS, 0, 209715, 0, 0)):
        args[place] = value
    table = kernel.make_table()
    acc = kernel.new_accumulator()
    return {
        "viper_ns_per_pair": time_ns(kernel.accumulate, args, data, acc, table) // SETS,
        "plain_ns_per_pair": time_ns(kernel.accumulate_plain, args, data, acc, table) // SETS,
    }


def whole(system):
    """The metrology with windows and quantities, per sample set."""
    elements = {"1P2W": 1, "3P3W": 2, "3P4W": 3}[system]
    record = {"sample_rate_hz": 4000, "full_scale": 8388607, "starting_power_mva": 700}
    record["channels"] = []
    for _ in range(elements):
        record["channels"].append({"kind": "voltage", "lsb_pv": 100000000})
        record["channels"].append({"kind": "current", "lsb_pa": 40000000})
    meter = Metrology(Calibration(system, record), Quantities(system), lambda p, q, d: None)
    data = samples(elements)
    for _ in range(100):
        meter.feed(data, SETS)
    return time_ns(meter.feed, data, SETS) // SETS


result = {"implementation": sys.implementation.name}
result.update(pair())
for name in ("1P2W", "3P3W", "3P4W"):
    result["metrology_ns_per_set_" + name] = whole(name)
gc.collect()
print(json.dumps(result))
