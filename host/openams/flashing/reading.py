"""Lets a board measure for some windows, with its own metrology, and gives the means."""

from __future__ import annotations

from openams.errors import BenchError
from openams.flashing.calibrate import Reading
from openams.flashing.link import BoardLink

# The board's program has been stopped: this runs in its place.
_MEASURE = """
import time,gc
from board import Board
from ams.metrology.calibration import Calibration
from ams.metrology.metrology import Metrology
from ams.metrology.quantities import Quantities
_c=Calibration(_o['system'],_o['calibration'])
_q=Quantities(_o['system'])
_r=[]
_z=[]
_n=[0]
def _w(p,r,d):
 _n[0]+=1
 if _n[0]>{skip} and not _m.flags&{acquiring}:
  _r.append([
   (m.voltage_mv,m.current_ua,m.active_power_mw,m.reactive_power_mvar) for m in _m._elements
  ])
  _z.append(_q.neutral_current_ua)
_m=Metrology(_c,_q,_w)
_b=Board()
_a=_b.make_frontend(_c,_o.get('front_end'))
_f=_b.frontend
_i=hasattr(_f,'poll')
def _ic():
 time.sleep_ms(_f.period_ms)
 if _f.poll(_q):
  _n[0]+=1
  if _n[0]>{ic_skip} and _q.frequency_mhz:
   _r.append([
    (_q.voltage_mv[p],_q.current_ua[p],_q.active_power_mw[p],_q.reactive_power_mvar[p])
    for p in {{'1P2W':(0,),'3P3W':(0,2),'3P4W':(0,1,2)}}[_o['system']]
   ])
def _adc():
 _k=_f.read()
 if _k:
  _m.feed(_f.samples,_k)
  _f.taken(_k)
if not _i:_f.start()
_t=time.ticks_ms()
while _a is not False and len(_r)<{windows} and time.ticks_diff(time.ticks_ms(),_t)<{limit}:
 _ic() if _i else _adc()
if hasattr(_f,'stop'):_f.stop()
gc.collect()
"""

_ACQUIRING = 1
# Windows that are left out: the oscillator settles.
_SKIP = 10
_IC_SKIP = 2
_WINDOW_S = 0.2
# An emulated chip may take so much longer.
_EMULATED = 20


def read_elements(link: BoardLink, windows: int) -> list[Reading]:
    """One reading for each element; the board's settings have been read into `_o` before."""
    _measure(link, windows)
    means = []
    for element in range(link.value("len(_m._elements)")):
        rows = link.value(f"[w[{element}] for w in _r]")
        means.append(Reading(*(sum(column) / len(rows) for column in zip(*rows, strict=True))))
    return means


def read_neutral(link: BoardLink, windows: int) -> float:
    """The current of the neutral in uA, in the same way."""
    _measure(link, windows)
    currents = link.value("_z")
    return float(sum(currents) / len(currents))


def _measure(link: BoardLink, windows: int) -> None:
    """Leaves rows of so many windows in `_r`, and in `_z` what they say of the neutral."""
    limit_s = (windows + _SKIP + 25) * _WINDOW_S * 2
    code = _MEASURE.format(
        skip=_SKIP,
        ic_skip=_IC_SKIP,
        acquiring=_ACQUIRING,
        windows=windows,
        limit=round(limit_s * 1000),
    )
    link.run(code, timeout_s=limit_s * _EMULATED + 30)
    if link.value("_a is False"):
        raise BenchError(f"{link.port}: the metering IC does not answer: is it wired and fed?")
    if link.value("len(_r)") < windows:
        raise BenchError(
            f"{link.port}: the meter finds no mains of 40 to 60 Hz: is the load switched on?"
        )
