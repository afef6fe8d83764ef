# Cycles of the metrology per set of samples, and its share of the core.
import gc
import json
import time
from array import array

import thumb

from ams.metrology import kernel
from ams.metrology.calibration import Calibration
from ams.metrology.metrology import Metrology
from ams.metrology.quantities import Quantities

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
    """One cycle of 50 Hz at 4 kS/s, full load."""
    table = kernel.make_table()
    data = array("i", bytes(8 * elements * SETS))
    for n in range(SETS):
        for c in range(2 * elements):
            phase = (n * 1024 * 50 // 4000 - (c // 2) * 341) & 1023
            data[n * 2 * elements + c] = table[phase] * (390 if c & 1 else 280)
    return data


def whole(system, pair_sums):
    kernel.pair_sums = pair_sums
    elements = {"1P2W": 1, "3P3W": 2, "3P4W": 3}[system]
    record = {"sample_rate_hz": 4000, "full_scale": 8388607, "starting_power_mva": 700}
    record["channels"] = []
    for _ in range(elements):
        record["channels"].append({"kind": "voltage", "lsb_pv": 100000000})
        record["channels"].append({"kind": "current", "lsb_pa": 40000000})
    meter = Metrology(Calibration(system, record), Quantities(system), lambda p, q, d: None)
    data = wave(elements)
    # Until it is locked to the 50 Hz of the wave.
    for _ in range(30):
        meter.feed(data, SETS)
    gc.collect()
    worst = total = 0
    # Two windows of ten blocks of 20 ms: 400 ms.
    windows = meter.windows
    for _ in range(20):
        start = time.ticks_us()
        meter.feed(data, SETS)
        spent = time.ticks_diff(time.ticks_us(), start)
        total += spent
        worst = max(worst, spent)
    # The main loop collects as often.
    start = time.ticks_us()
    gc.collect()
    total += time.ticks_diff(time.ticks_us(), start)
    assert meter.windows == windows + 2 and meter.quantities.status == 0, meter.quantities.status
    return {
        "cycles_per_set": total * CYCLES_PER_US / (20 * SETS),
        "share_percent": total / 4000,
        "worst_block_us": worst,
    }


result = {"cycles_per_pair": pair()}
for system in ("1P2W", "3P3W", "3P4W"):
    gc.collect()
    result[system] = whole(system, thumb.accumulate)
result["viper"] = whole("3P4W", kernel.accumulate)
gc.collect()
start = time.ticks_us()
gc.collect()
result["collection_us"] = time.ticks_diff(time.ticks_us(), start)
print(json.dumps(result))
