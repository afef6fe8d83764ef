"""The server's heap is bounded, whatever its clients do: on the MicroPython VM."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def test_the_heap_does_not_grow(micropython):
    script = "import sys\nsys.path[:0] = sys.argv[1:]\nimport server_heap"
    made, warm, most, transient = map(
        int, micropython(script, str(TESTS), str(TESTS / "unit"), heap_kib=512).split()
    )
    # Octets of the 64-bit VM, whose words are twice those of a chip.
    assert made < 16_000
    assert most <= warm + 64
    assert most < 32_000
    assert transient < 4_000
