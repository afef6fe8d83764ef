"""From the sums of one element's window to its quantities, in integers.

`weight` is 64 times the samples of the window, whose ends lie within samples
(see sums.py). All results are exact up to one rounding, whatever the VM's floats.
"""

from micropython import const

from ams.metrology.fixed import ONE, div_rounded, isqrt, rotation, sqrt_rounded

# The reference has an amplitude of 2**13, so that 2 / (weight * 2**26) takes a
# shift and a small divisor: large divisors cost most of a window's end.
_SHIFT = const(19)
# Of the kernel's sums, as numbers: names of another module are looked up each time.
_U = const(0)
_I = const(1)
_UU = const(2)
_II = const(3)
_UI = const(4)
_UC = const(5)
_US = const(6)
_IC = const(7)
_IS = const(8)
# Picovolt * picoampere per milliwatt.
_PVPA_PER_MW = 10**21
_PV2_PER_MV2 = 10**18
_PA2_PER_UA2 = 10**12


class Element:
    """Quantities of one voltage-current pair, remade by `evaluate`."""

    def __init__(self, voltage, current, starting_power_mva):
        self.voltage = voltage
        self.current = current
        self.power_scale = voltage.scale * current.scale  # picovolt-picoampere per code**2
        self._scale_uu = 64 * voltage.scale * voltage.scale
        self._scale_ii = 64 * current.scale * current.scale
        self._starting_squared = starting_power_mva * starting_power_mva
        self.idle = True  # active and fundamental reactive power are both no load
        # The measured angle U to I is too large by what the current lags more.
        self._cos, self._sin = rotation(current.phase_urad - voltage.phase_urad)
        self._turned = current.phase_urad != voltage.phase_urad
        self.forget_dc()
        self.square_u = 0  # samples * code**2, without DC
        self.fundamental_u = 0  # of it
        self.square_i = 0
        self.work = 0  # active: samples * code**2
        self.fundamental_work = 0
        self.reactive_work = 0  # of the fundamental
        self.phasor_u = (0, 0)  # C and -S: angle against the reference
        self.phasor_i = (0, 0)
        self.voltage_mv = 0
        self.current_ua = 0
        self.active_power_mw = 0
        self.reactive_power_mvar = 0
        self.apparent_power_mva = 0
        self.thd_voltage_permille = 0
        self.thd_current_permille = 0

    def forget_dc(self):
        # Sum and weight of the last whole window: its mean is the DC.
        self._mean_u = (0, 64)
        self._mean_i = (0, 64)

    def _remove_dc(self, total, weight, whole):
        su = total[_U]
        si = total[_I]
        if whole:
            # The mean over whole cycles is the DC: N*sum(ui) - sum(u)*sum(i).
            self._mean_u = (su, weight)
            self._mean_i = (si, weight)
            self.square_u = total[_UU] - 64 * su * su // weight
            self.square_i = total[_II] - 64 * si * si // weight
            self.work = total[_UI] - 64 * su * si // weight
            return
        # A part of a cycle has a mean of its own: use the DC of the last window.
        mu, wu = self._mean_u
        mi, wi = self._mean_i
        self.square_u = total[_UU] - 64 * (2 * su * mu - weight * mu * mu // wu) // wu
        self.square_i = total[_II] - 64 * (2 * si * mi - weight * mi * mi // wi) // wi
        self.work = total[_UI] - 64 * (
            su * mi // wi + si * mu // wu - weight * mu * mi // (wu * wi)
        )

    def blend_dc(self, total, weight):
        """Of a window that is not whole cycles for sure: only the mean over some such is DC."""
        mu, wu = self._mean_u
        mi, wi = self._mean_i
        self._mean_u = (mu - (mu >> 3) + total[_U], wu - (wu >> 3) + weight)
        self._mean_i = (mi - (mi >> 3) + total[_I], wi - (wi >> 3) + weight)

    def has_dc(self, codes):
        """Whether the voltage of the last whole window, or the last few, is off zero by so much."""
        total, weight = self._mean_u
        return 64 * abs(total) > codes * weight

    def evaluate(self, total, weight, whole=True):
        """Takes the sums of a window; `whole` says that it holds whole cycles."""
        self._remove_dc(total, weight, whole)
        uc = total[_UC]
        us = total[_US]
        ic = total[_IC]
        is_ = total[_IS]
        self.phasor_u = (uc, -us)
        self.phasor_i = (ic, -is_)
        self.fundamental_work = (uc * ic + us * is_ >> _SHIFT) // weight
        self.reactive_work = (uc * is_ - us * ic >> _SHIFT) // weight
        if self._turned:
            self._turn()
        self._quantities(weight)
        self.fundamental_u = (uc * uc + us * us >> _SHIFT) // weight
        self.thd_voltage_permille = _thd_permille(self.square_u, self.fundamental_u)
        fundamental_i = (ic * ic + is_ * is_ >> _SHIFT) // weight
        self.thd_current_permille = _thd_permille(self.square_i, fundamental_i)

    def _turn(self):
        """Phase calibration, on the fundamental; harmonic power stays as measured."""
        p = self.fundamental_work
        q = self.reactive_work
        turned = (p * self._cos + q * self._sin) // ONE
        self.work += turned - p
        self.fundamental_work = turned
        self.reactive_work = (q * self._cos - p * self._sin) // ONE

    def _quantities(self, weight):
        self.voltage_mv = _rms(self.square_u, self._scale_uu, weight * _PV2_PER_MV2)
        self.current_ua = _rms(self.square_i, self._scale_ii, weight * _PA2_PER_UA2)
        power = weight * _PVPA_PER_MW
        scale = 64 * self.power_scale
        p = self.active_power_mw = div_rounded(self.work * scale, power)
        q = self.reactive_power_mvar = div_rounded(self.reactive_work * scale, power)
        self.apparent_power_mva = div_rounded(self.voltage_mv * self.current_ua, 1000000)
        self.idle = p * p + q * q < self._starting_squared


def _rms(square, scale, per_unit):
    return sqrt_rounded(square * scale // per_unit) if square > 0 else 0


def _thd_permille(square, fundamental):
    """Distortion (all that is not fundamental) over the fundamental, in permille."""
    rest = square - fundamental
    if fundamental <= 0 or rest <= 0:
        return 0
    ratio = isqrt(rest * 1000000 // fundamental)
    return ratio if ratio < 32767 else 32767
