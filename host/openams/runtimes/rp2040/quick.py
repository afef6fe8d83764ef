"""What makes the package's chip quicker, and changes nothing else of it."""

from __future__ import annotations

from rp2040py.sio import RPSIO

_UDIVIDEND, _UDIVISOR, _SDIVIDEND, _SDIVISOR, _QUOTIENT, _REMAINDER, _CSR = range(0x60, 0x7C, 4)
_READY_DIRTY = 3
_CPUID = 0


class QuickSio(RPSIO):
    """The divider first: integer arithmetic of any length divides thousands of times a window."""

    def read_uint32(self, offset: int) -> int | float:
        if offset == _QUOTIENT:
            self.div_csr &= ~2
            return self.div_quotient
        if offset == _REMAINDER:
            return self.div_remainder
        if offset == _CSR:
            return self.div_csr
        if offset == _CPUID:
            return 0
        return super().read_uint32(offset)

    def write_uint32(self, offset: int, value: int) -> None:
        if offset == _UDIVISOR:
            self.div_divisor = divisor = value & 0xFFFFFFFF
            dividend = self.div_dividend & 0xFFFFFFFF
        elif offset == _UDIVIDEND:
            self.div_dividend = dividend = value & 0xFFFFFFFF
            divisor = self.div_divisor & 0xFFFFFFFF
        else:
            super().write_uint32(offset, value)
            return
        if divisor:
            self.div_quotient = dividend // divisor
            self.div_remainder = dividend % divisor
            self.div_csr = _READY_DIRTY
            self.rp2040.core.cycles += 8
        else:
            self.update_hardware_divider(False)
