"""`make bench-chip`: the budgets of the design, counted in cycles of the emulated RP2040.

One image, pico-bench: pieces measured one by one at its REPL, and the whole
meter. Times are the chip's at 125 MHz and the same in every run;
with --json they come as one object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import link_chip
from cryptography.hazmat.primitives.asymmetric import ec
from full_state import full_state

from openams.bench.options import DEFAULT_METER_ID, Options
from openams.bench.session import Session
from openams.grid.house import House
from openams.image import package
from openams.keys.keystore import Keystore
from openams.keys.provision import provisioned
from openams.keys.releasekey import public_octets
from openams.keys.sealed import SCRYPT_N_RANDOM
from openams.runtimes.rp2040.firmware_image import image
from openams.runtimes.rp2040.flash import SLOTS_START
from openams.runtimes.rp2040.repl import ReplChip

ON_CHIP = Path(__file__).with_name("on_chip")
ROOT = Path(__file__).resolve().parents[2]
STATE_OFFSET = 768 * 1024
# What others published of themselves; none does all of this, and none is in Python.
PEERS = (
    (
        "emontx3-continuous",
        "ATmega328, 16 MHz, C++",
        "19 230 conversions/s over all channels",
    ),
    ("TI DLMS/COSEM stack", "MSP430, C, AES-128", "24 kB of flash, 1.8 kB of RAM"),
)


def pieces() -> dict[str, Any]:
    chip = ReplChip(image("pico-bench"))
    result: dict[str, Any] = {"boot_to_prompt_ms": chip.now_ms()}
    state = full_state()
    chip.mcu.flash[STATE_OFFSET : STATE_OFFSET + len(state)] = state
    for name in ("thumb_check", "metrology", "ads131", "crypto", "mount", "display"):
        print(f"  {name} ...", file=sys.stderr)
        result[name] = json.loads(chip.run((ON_CHIP / f"{name}.py").read_text()))
    print("  update ...", file=sys.stderr)
    result["update"] = update(chip)
    return result


def update(chip: ReplChip) -> dict[str, Any]:
    """Verification of an image of some modules, from the first slot of the flash."""
    key = ec.generate_private_key(ec.SECP256R1())
    update_key, title = bytes(16), b"OAM\0\0\0\0\1"
    made = package.make(
        "pico", only=["ams/registers/recorder", "ams/control/case", "ams/control/control"]
    )
    octets = made.signed(key).released(title, 2000, update_key).octets()
    # The first sector of a slot is its map.
    at = SLOTS_START + 4096
    chip.mcu.flash[at : at + len(octets)] = octets
    given = f"BENCH = {len(octets)}, {update_key!r}, {public_octets(key)!r}\n"
    return dict(json.loads(chip.run(given + (ON_CHIP / "update.py").read_text())))


def whole_meter() -> dict[str, Any]:
    """One phase through the ADC, HAN open, keys provisioned: boot, heap after two seconds."""
    print("  the whole meter ...", file=sys.stderr)
    with tempfile.TemporaryDirectory() as work:
        store = Keystore(Path(work) / "keys", b"bench", SCRYPT_N_RANDOM)
        options = Options(
            runtime="rp2040",
            han_open=True,
            duration_s=2.0,
            state=Path(work) / "state",
            security=provisioned(store, DEFAULT_METER_ID),
        )
        session = Session(House("1P2W"), options)
        booted_ms = session.process.booted_ms  # type: ignore[union-attr]
        session.play(lambda: None)
        used = session.process.view()["heap_used"]
        session.finish()
        session.close()
        return {"boot_to_metering_ms": booted_ms, "heap_used": used}


def measure() -> dict[str, Any]:
    result = {**pieces(), **whole_meter()}
    print("  the link of the whole meter ...", file=sys.stderr)
    result["link"] = link_chip.measure()
    result["size"] = json.loads((ROOT / "build" / "pico-bench" / "size.json").read_text())
    return result


def rows(r: dict[str, Any]) -> list[tuple[str, str, str, bool | None]]:
    """What, measured, budget, and whether it is met."""
    m = r["metrology"]
    share = m["3P4W"]["share_percent"]
    viper = m["viper"]["share_percent"]
    kib = 1024
    size = r["size"]
    return [
        ("metrology, 6 channels at 4 kS/s", f"{share:.1f} % of the core", "12 %", share < 12),
        ("  with the loop in viper", f"{viper:.1f} %", "", None),
        ("  3P3W, 1P2W", f"{m['3P3W']['share_percent']:.1f} %, {m['1P2W']['share_percent']:.1f} %",
         "", None),
        ("  sums of one pair and set", f"{r['thumb_check']['cycles_per_pair']:.0f} cycles "
         f"(viper {m['cycles_per_pair']:.0f})", "", None),
        ("  end of a window, worst", f"{m['3P4W']['worst_block_us'] / 1000:.1f} ms", "", None),
        ("ADS131M08, frames with CRC and metrology",
         f"{r['ads131']['share_percent']:.1f} %", "13 %", r["ads131"]["share_percent"] < 13),
        ("  its frames alone", f"{r['ads131']['taken_percent']:.1f} %, "
         f"{r['ads131']['cycles_per_frame']:.0f} cycles each", "", None),
        ("  with the current of the neutral", f"{r['ads131']['neutral_percent']:.1f} %", "13 %",
         r["ads131"]["neutral_percent"] < 13),
        ("heap in use, whole meter", f"{r['heap_used'] / kib:.1f} KiB", "128 KiB",
         r["heap_used"] < 128 * kib),
        ("frozen code", f"{size['frozen'] / kib:.1f} KiB", f"{size['frozen_budget'] // kib} KiB",
         size["frozen"] < size["frozen_budget"]),
        ("image", f"{size['image'] / kib:.1f} KiB", f"{size['image_limit'] // kib} KiB",
         size["image"] < size["image_limit"]),
        ("boot to metering", f"{r['boot_to_metering_ms']:.0f} ms", "1000 ms",
         r["boot_to_metering_ms"] < 1000),
        ("mount of a full 1 MiB state", f"{r['mount']['mount_ms']:.0f} ms", "500 ms",
         r["mount"]["mount_ms"] < 500),
        *display_rows(r["display"]),
        *link_rows(r["link"]),
        (f"verification, image of {r['update']['image'] / kib:.1f} KiB",
         f"{r['update']['verify_ms']:.0f} ms", "", None),
        # The ring of the ADC holds 64 ms in which no step of the code is made.
        ("  its longest piece", f"{r['update']['longest_piece_ms']:.0f} ms", "50 ms",
         r["update"]["longest_piece_ms"] < 50),
        ("GCM, 512 octets", f"{r['crypto']['gcm_512_octets_per_s'] / 1000:.0f} kB/s", "", None),
        ("GCM, 64 octets", f"{r['crypto']['gcm_64_octets_per_s'] / 1000:.0f} kB/s", "", None),
        ("GCM, a new key", f"{r['crypto']['gcm_key_us'] / 1000:.1f} ms", "", None),
        ("AES-128-ECB", f"{r['crypto']['aes_ecb_octets_per_s'] / 1000:.0f} kB/s", "", None),
        ("SHA-256", f"{r['crypto']['sha256_octets_per_s'] / 1000:.0f} kB/s", "", None),
    ]  # fmt: skip


def display_rows(r: dict[str, Any]) -> list[tuple[str, str, str, bool | None]]:
    out: list[tuple[str, str, str, bool | None]] = []
    for kind, found in r.items():
        share, longest_ms = found["share_percent"], found["longest_us"] / 1000
        out += [
            (f"display {kind}", f"{share:.2f} % of the core", "1 %", share < 1),
            ("  its longest slice, with the bus", f"{longest_ms:.1f} ms", "5 ms", longest_ms < 5),
        ]
    return out


def link_rows(r: dict[str, Any]) -> list[tuple[str, str, str, bool | None]]:
    return [
        ("service port at 115200 Bd, whole meter", "", "", None),
        ("  connection and association", f"{r['association_ms']} ms", "", None),
        ("  ciphered GET of one register", f"{r['get_ms']} ms (line "
         f"{r['get_octets'] / 11.52:.0f} ms)", "50 ms", r["get_ms"] < 50),
        (f"  {r['rows']} rows of the profile", f"{r['profile_ms'] / 1000:.2f} s, "
         f"{r['line_percent']:.0f} % of the line", "80 %", r["line_percent"] > 80),
        ("  90 days at that pace", f"{r['whole_s']:.0f} s", "", None),
        ("  heap at its highest", f"{r['heap_highest'] / 1024:.1f} KiB", "128 KiB",
         r["heap_highest"] < 128 * 1024),
        ("  HAN lists meanwhile, late by at most", f"{r['lists']}, {r['list_late_max_ms']} ms",
         "100 ms", not r["lists_missed"] and r["list_late_max_ms"] < 100),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure()
    if arguments.json:
        print(json.dumps(result))
        return 0
    print(f"{'what':<34} {'measured':<28} {'budget':<9} met")
    for what, measured, budget, met in rows(result):
        verdict = {True: "yes", False: "NO", None: ""}[met]
        print(f"{what:<34} {measured:<28} {budget:<9} {verdict}")
    print("\npeers")
    for name, of, figures in PEERS:
        print(f"{name:<34} {of:<28} {figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
