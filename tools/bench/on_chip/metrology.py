# Cycles of the metrology per set of samples, and its share of the core.
import gc
import json
import time
from array import array

from ams.metrology import kernel
from ams.metrology.calibration import Calibration
from ams.metrology.meter import Metrology
from ams.registers.quantities import Quantities

SETS = 80
CYCLES_PER_US = 125


def samples(elements, sets):
    state = 1
    data = array("i", bytes(8 * elements * sets))
    for k in range(len(data)):
        state = (state * 1103 + 12345) & 0xFFFFFF
        data[k] = (state & 0xFFFFF) - 0x80000
    return data


def pair():
    data = samples(3, SETS)
    args = kernel.new_arguments()
    for place, value in enumerate((0, 1, 6, SETS, 0, 209715, 0, 0)):
        args[place] = value
    table = kernel.make_table()
    acc = kernel.new_accumulator()
    start = time.ticks_us()
    for _ in range(10):
        kernel.accumulate(args, data, acc, table)
    spent = time.ticks_diff(time.ticks_us(), start)
    return spent * CYCLES_PER_US / (10 * SETS)


def wave(elements):
    """One second would not fit: ten cycles of 50 Hz at 4 kS/s, with harmonics of a square."""
    table = kernel.make_table()
    data = array("i", bytes(8 * elements * SETS))
    for n in range(SETS):
        for c in range(2 * elements):
            phase = (n * 1024 * 50 // 4000 - (c // 2) * 341) & 1023
            data[n * 2 * elements + c] = table[phase] * (390 if c & 1 else 280)
    return data


def whole(system):
    elements = {"1P2W": 1, "3P3W": 2, "3P4W": 3}[system]
    record = {"sample_rate_hz": 4000, "full_scale": 8388607, "starting_power_mva": 700}
    record["channels"] = []
    for _ in range(elements):
        record["channels"].append({"kind": "voltage", "lsb_pv": 100000000})
        record["channels"].append({"kind": "current", "lsb_pa": 40000000})
    meter = Metrology(Calibration(system, record), Quantities(system), lambda p, q, d: None)
    data = wave(elements)
    for _ in range(50):
        meter.feed(data, SETS)
    gc.collect()
    worst = 0
    total = 0
    # One second: 50 blocks of 20 ms, collections of the heap included.
    for k in range(50):
        start = time.ticks_us()
        meter.feed(data, SETS)
        if k % 10 == 9:
            gc.collect()
        spent = time.ticks_diff(time.ticks_us(), start)
        total += spent
        worst = max(worst, spent)
    return {
        "cycles_per_set": total * CYCLES_PER_US / (50 * SETS),
        "share_percent": total / 10000,
        "worst_block_us": worst,
        "locked": bool(meter.locked) if hasattr(meter, "locked") else None,
        "windows": getattr(meter, "windows", None),
    }


result = {"cycles_per_pair": pair()}
for system in ("1P2W", "3P3W", "3P4W"):
    gc.collect()
    result[system] = whole(system)
print(json.dumps(result))
