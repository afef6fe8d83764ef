"""Samples in, windows out: quantities of each window and energy of every sample.

Active energy is the sum of u*i over every sample that came, DC removed:
windows only group it. Reactive energy is the fundamental's reactive power
times the length of the window. Both leave here as whole micro-watt-seconds
with the remainder carried, summed over the elements (vectorial, net).

`on_window(active_uws, reactive_uvars)` takes the energy; the window's
quantities stand in `quantities` by then.
"""

from micropython import const

from ams.metrology import kernel, phases
from ams.metrology.element import Element
from ams.metrology.fixed import div_rounded, isqrt, sqrt_rounded
from ams.metrology.oscillator import Oscillator
from ams.metrology.sums import PARTS, ChannelSum, CrossSum, ElementSums

# Bits of `flags` of a window; the meter maps them to its status.
FLAG_ACQUIRING = const(1)
FLAG_NO_VOLTAGE = const(2)
FLAG_SATURATED = const(4)
FLAG_NO_LOAD = const(8)
FLAG_BROKEN = const(16)  # a voltage that no mains has: the reference or the bias is gone

# Picovolt * picoampere * samples per micro-watt-second, times the rate.
_PVPA_PER_UW = 10**18


# The angles between voltages that are as they should be: once a second.
_ANGLES_EVERY = const(5)


class Metrology:
    def __init__(self, calibration, quantities, on_window):
        self.calibration = calibration
        self.quantities = quantities
        self.on_window = on_window
        self.oscillator = Oscillator(calibration.sample_rate_hz)
        self.flags = FLAG_ACQUIRING
        self.phase_loss = 0  # bit per phase
        self.neutral_lost = False
        self.reversed = 0
        self.windows = 0
        self._samples = 0  # whole sample sets in the open window
        self._carry = 0  # 64ths of the straddling set of the last window
        self._rest_active = 0
        self._rest_reactive = 0
        self._last_reactive = (0, 1)  # per 64th of a sample
        table = kernel.make_table()
        stride = calibration.channels
        self._sums = []
        self._elements = []
        self._headroom = []
        for k in range(len(calibration.voltages)):
            u, i = calibration.voltages[k], calibration.currents[k]
            self._sums.append(ElementSums(2 * k, stride, u.offset, i.offset, table))
            self._elements.append(Element(u, i, calibration.starting_power_mva))
            self._headroom.append((calibration.headroom(u), calibration.headroom(i)))
        self._followed = None
        self._per_uws = calibration.sample_rate_hz * _PVPA_PER_UW
        # What brings the points of the phases to permille of the nominal voltage.
        self._per_code = [
            phases.factor(u.scale, calibration.nominal_voltage_mv) for u in calibration.voltages
        ]
        # Sums of what no element measures.
        self._cross = ()
        self._third = calibration.system == "3P3W"
        neutral = calibration.neutral
        if self._third:
            u, i = calibration.voltages, calibration.currents
            self._cross = (
                CrossSum(0, 2, stride, u[0].offset, u[1].offset),
                CrossSum(1, 3, stride, i[0].offset, i[1].offset),
            )
        elif neutral is not None:
            self._cross = (ChannelSum(stride - 1, stride, neutral.offset),)
            self._neutral_headroom = calibration.headroom(neutral)
            quantities.neutral_current_ua = 0

    def voltage_phasors(self):
        """Fundamentals of the voltages in the last window: they turn together, by no unit."""
        return [e.phasor_u for e in self._elements]

    # --- samples -----------------------------------------------------------

    def feed(self, samples, count):
        """Takes `count` interleaved sample sets: array('i') or a memoryview of one."""
        oscillator = self.oscillator
        at = 0
        while at < count:
            step = oscillator.step
            left = oscillator.target() - oscillator.progress
            take = min(left // step, count - at)
            if take:
                self._take(samples, at, take, step)
                at += take
            else:
                self._close(samples, at, left, step)
                at += 1

    def _take(self, samples, at, take, step):
        oscillator = self.oscillator
        phase = oscillator.progress & 0xFFFFFF
        for sums in self._sums:
            sums.take(samples, at, take, phase, step)
        for cross in self._cross:
            cross.take(samples, at, take)
        oscillator.progress += take * step
        self._samples += take

    def _close(self, samples, at, left, step):
        """Closes the window inside the set `at`, of which `left`/`step` belongs to it."""
        oscillator = self.oscillator
        part = PARTS * left // step
        phase = oscillator.progress & 0xFFFFFF
        for sums in self._sums:
            sums.close(samples, at, phase, part)
        for cross in self._cross:
            cross.close(samples, at, part)
        weight = PARTS * self._samples + self._carry + part
        self._carry = PARTS - part
        self._samples = 0
        was_locked = oscillator.locked
        for k in range(len(self._sums)):
            element = self._elements[k]
            if not was_locked:
                element.blend_dc(self._sums[k].total, weight)
            element.evaluate(self._sums[k].total, weight, was_locked)
        oscillator.progress = step - left
        if self._is_broken(was_locked):
            self._lose(weight)
            return
        self._steer(weight)
        self._finish(weight, was_locked, self._reactive(weight))

    def flush(self):
        """Counts what the open window holds: before a stop, a gap or a time shift.

        A piece shorter than two cycles has no fundamental of its own; its
        reactive energy is that of the last window. The next sample starts anew.
        """
        weight = PARTS * self._samples + self._carry
        cycles2 = self.oscillator.progress >> 23
        if weight and self.flags & FLAG_BROKEN:
            self.drop()
        elif weight:
            for sums in self._sums:
                sums.close(None, 0, 0, None)
            for cross in self._cross:
                cross.close(None, 0, None)
            for k in range(len(self._sums)):
                self._elements[k].evaluate(self._sums[k].total, weight, False)
            if cycles2 >= 4:
                reactive = self._reactive(weight)
            else:
                reactive = self._last_reactive[0] * weight // self._last_reactive[1]
            # Quantities stay those of the last whole window, if there was one.
            self._count(weight, reactive)
            if not self.windows:
                self._publish(weight)
        self._begin()

    def drop(self):
        """Forgets the open window, in whatever state an error has left it."""
        for sums in self._sums:
            sums.drop()
        for cross in self._cross:
            cross.drop()
        self._begin()

    def _begin(self):
        self._samples = 0
        self._carry = 0
        self.oscillator.progress = 0
        self.oscillator.lose()

    # --- windows -----------------------------------------------------------

    def _is_broken(self, was_locked):
        """Whether the front end has lost its reference: DC, or rails that are no swell's.

        A swell clips the tips of a wave that is still there, a short circuit has no voltage.
        """
        was_broken = self.flags & FLAG_BROKEN
        for k in range(len(self._sums)):
            sums = self._sums[k]
            e = self._elements[k]
            most_u, most_i = self._headroom[k]
            clipped = sums.peak_u >= most_u
            if clipped and sums.peak_i >= most_i:
                return True
            # Much voltage, and none of it of a frequency: not of a window that it came in.
            if clipped or was_broken:
                much = 2 * e.voltage_mv > self.calibration.nominal_voltage_mv
                if much and 8 * e.fundamental_u < e.square_u:
                    return True
            # A voltage that comes or goes leaves a mean of a 31st of its peak, of a sixth in
            # the short windows.
            if e.has_dc(most_u >> 4 if was_locked else most_u >> 2):
                return True
        return False

    def _lose(self, weight):
        """A window that says nothing: no energy, and nothing of it is shown."""
        self.windows += 1
        self._steer(weight)
        for element in self._elements:
            element.forget_dc()
        self.flags = FLAG_BROKEN | FLAG_ACQUIRING
        self.reversed = 0
        self.quantities.clear()
        self.on_window(0, 0, self._duration_us(weight))

    def _duration_us(self, weight):
        return div_rounded(weight * 15625, self.calibration.sample_rate_hz)

    def _steer(self, weight):
        """Follows the phase with the largest voltage, if that is any voltage."""
        best = self._elements[0]
        for element in self._elements:
            # Prefer the first: another must be half as large again.
            if 2 * element.voltage_mv > 3 * best.voltage_mv:
                best = element
        oscillator = self.oscillator
        if 10 * best.voltage_mv < self.calibration.nominal_voltage_mv:
            oscillator.unlock()
            self.flags |= FLAG_NO_VOLTAGE
            return
        self.flags &= ~FLAG_NO_VOLTAGE
        if best is not self._followed:
            # Another phase has another angle: that is no advance.
            self._followed = best
            oscillator.lose()
        x, y = best.phasor_u
        oscillator.follow(x, y, weight, best.square_u, best.fundamental_u)

    def _reactive(self, weight):
        """Reactive energy of the window: pV*pA*samples, net."""
        total = 0
        for element in self._elements:
            if not element.idle:
                total += element.reactive_work * element.power_scale
        self._last_reactive = (total, weight)
        return total

    def _finish(self, weight, was_locked, reactive):
        self.windows += 1
        self._flag(was_locked)
        self._publish(weight)
        self._count(weight, reactive)

    def _count(self, weight, reactive):
        active = 0
        for element in self._elements:
            if not element.idle:
                active += element.work * element.power_scale
        per_uws = self._per_uws
        active += self._rest_active
        reactive += self._rest_reactive
        self._rest_active = active % per_uws
        self._rest_reactive = reactive % per_uws
        self.on_window(active // per_uws, reactive // per_uws, self._duration_us(weight))

    def _flag(self, was_locked):
        flags = self.flags & FLAG_NO_VOLTAGE
        if not (was_locked and self.oscillator.locked):
            flags |= FLAG_ACQUIRING
        loaded = False
        for k in range(len(self._sums)):
            sums = self._sums[k]
            most_u, most_i = self._headroom[k]
            if sums.peak_u >= most_u or sums.peak_i >= most_i:
                flags |= FLAG_SATURATED
            if not self._elements[k].idle:
                loaded = True
        if self.calibration.neutral is not None and self._cross[0].peak >= self._neutral_headroom:
            flags |= FLAG_SATURATED
        if not loaded:
            flags |= FLAG_NO_LOAD
        self.flags = flags

    # --- quantities ----------------------------------------------------------

    def _publish(self, weight):
        q = self.quantities
        step = 2 if self.calibration.system == "3P3W" else 1
        p = r = s = 0
        for k in range(len(self._elements)):
            e = self._elements[k]
            place = k * step
            q.voltage_mv[place] = e.voltage_mv
            q.current_ua[place] = e.current_ua
            q.active_power_mw[place] = e.active_power_mw
            q.reactive_power_mvar[place] = e.reactive_power_mvar
            q.apparent_power_mva[place] = e.apparent_power_mva
            q.power_factor_permille[place] = _power_factor(e.active_power_mw, e.apparent_power_mva)
            q.thd_voltage_permille[place] = e.thd_voltage_permille
            q.thd_current_permille[place] = e.thd_current_permille
            p += e.active_power_mw
            r += e.reactive_power_mvar
            s += e.apparent_power_mva
        if q.neutral_current_ua is not None:
            scale = self.calibration.neutral.scale
            q.neutral_current_ua = self._cross[0].rms(scale, 10**6, weight)
        if self._third:
            self._publish_third(weight)
            # Two elements are no phases: the vector sum is what S means here.
            s = isqrt(p * p + r * r)
        q.total_active_power_mw = p
        q.total_reactive_power_mvar = r
        q.total_apparent_power_mva = s
        q.frequency_mhz = self.oscillator.frequency_mhz
        self._directions(p, weight)

    def _publish_third(self, weight):
        """U13 = U12 - U32 and I2 = -(I1 + I3), by |a-b|^2 and |a+b|^2."""
        q = self.quantities
        e1, e3 = self._elements
        s1, s3 = self._sums
        for cross, sum_of, scale1, scale3, square1, square3, sign, out, unit in (
            (
                self._cross[0],
                kernel.SUM_U,
                e1.voltage.scale,
                e3.voltage.scale,
                e1.square_u,
                e3.square_u,
                -2,
                q.voltage_mv,
                10**9,
            ),
            (
                self._cross[1],
                kernel.SUM_I,
                e1.current.scale,
                e3.current.scale,
                e1.square_i,
                e3.square_i,
                2,
                q.current_ua,
                10**6,
            ),
        ):
            product = cross.total - 64 * s1.total[sum_of] * s3.total[sum_of] // weight
            square = (
                square1 * scale1 * scale1
                + square3 * scale3 * scale3
                + sign * product * scale1 * scale3
            )
            out[1] = sqrt_rounded(64 * square // (weight * unit * unit)) if square > 0 else 0

    def _directions(self, total_mw, weight):
        """Open phases, and phases that export while the sum imports."""
        self._look_for_open(weight)
        against = 0
        threshold = self.calibration.starting_power_mva
        for place, power in enumerate(self._phase_powers(weight)):
            # While the sum is exported, a phase that imports is nothing odd.
            if power < -threshold and total_mw > 0:
                against |= 1 << place
        self.reversed = against

    def _look_for_open(self, weight):
        system = self.calibration.system
        if system == "1P2W":
            # Its one phase is lost with the voltage.
            return
        q = self.quantities
        nominal = self.calibration.nominal_voltage_mv
        u = [1000 * voltage // nominal for voltage in q.voltage_mv]
        if (
            self.windows % _ANGLES_EVERY
            and min(u) > 850
            and max(u) < 1150
            and not (self.phase_loss or self.neutral_lost)
        ):
            # What voltages that are as they should be hide is no matter of a window.
            return
        if system == "3P3W":
            self.phase_loss = phases.open_of_sides(u, q.current_ua, self.phase_loss)
            return
        points = None
        # Without a lock the angles are those of the windows.
        if not self.flags & FLAG_ACQUIRING:
            points = [
                phases.point(self._elements[k].phasor_u, self._per_code[k], weight)
                for k in range(3)
            ]
        before = self.phase_loss | (phases.NEUTRAL if self.neutral_lost else 0)
        found = phases.open_of_phases(u, points, q.current_ua, before, q.neutral_current_ua)
        self.phase_loss = found & phases.ALL
        self.neutral_lost = found & phases.NEUTRAL != 0

    def _phase_powers(self, weight):
        """Active power per phase in mW; on 3P3W against an artificial neutral."""
        if not self._third:
            return [e.active_power_mw for e in self._elements]
        e1, e3 = self._elements
        # u1 = (2*U12 - U32)/3 and so on; I2 = -(I1 + I3).
        p12, p32 = e1.active_power_mw, e3.active_power_mw
        power1 = (2 * p12 - _mutual_mw(e3, e1, weight)) // 3
        power3 = (2 * p32 - _mutual_mw(e1, e3, weight)) // 3
        return [power1, p12 + p32 - power1 - power3, power3]


def _mutual_mw(of_voltage, of_current, weight):
    """Fundamental active power of one element's voltage with another's current."""
    u = of_voltage.phasor_u
    i = of_current.phasor_i
    work = 128 * (u[0] * i[0] + u[1] * i[1]) // (weight * kernel.TABLE_AMPLITUDE**2)
    scale = 64 * of_voltage.voltage.scale * of_current.current.scale
    return div_rounded(work * scale, weight * 10**21)


def _power_factor(active, apparent):
    if apparent == 0:
        return 0
    return max(-1000, min(1000, div_rounded(active * 1000, apparent)))
