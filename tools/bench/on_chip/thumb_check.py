# thumb.accumulate against its plain twin, to the last bit.
import json
import time
from array import array

import thumb

from ams.metrology import kernel

SETS = 71


def samples(seed, largest):
    state = seed
    data = array("i", bytes(4 * 6 * SETS))
    for k in range(len(data)):
        state = (state * 1103 + 12345) & 0xFFFFFF
        value = state - 0x800000
        data[k] = value if not largest else (0x7FFFFF if value & 1 else -0x7FFFFF)
    return data


table = kernel.make_table()
checked = 0
for seed, largest, zero, first in (
    (1, 0, 0, 0),
    (2, 1, 0, 2),
    (3, 0, 1234567, 4),
    (4, 1, -99999, 2),
):
    data = samples(seed, largest)
    args = kernel.new_arguments()
    for count in (1, 31, 32, 33, SETS):
        for place, value in enumerate((first, 1, 6, count, 0xFFF000 - seed, 209715, zero, -zero)):
            args[place] = value
        fast = kernel.new_accumulator()
        plain = kernel.new_accumulator()
        for _ in range(2):
            thumb.accumulate(args, data, fast, table)
            kernel.accumulate_plain(args, data, plain, table)
        assert fast == plain, (seed, count, list(fast), list(plain))
        checked += 1
data = samples(5, 0)
for place, value in enumerate((0, 1, 6, SETS, 0, 209715, 0, 0)):
    args[place] = value
start = time.ticks_us()
for _ in range(10):
    thumb.accumulate(args, data, fast, table)
spent = time.ticks_diff(time.ticks_us(), start)
print(json.dumps({"checked": checked, "cycles_per_pair": spent * 125 / (10 * SETS)}))
