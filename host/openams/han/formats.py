"""The formats of the HAN port by the names that the command line gives them.

A name is that of a format (`kaifa`: its first variant) or of a format and a
variant (`kaifa-se`). A new one is entered here and in `ams.han`.
"""

from __future__ import annotations

from dataclasses import dataclass

from openams.errors import BenchError


@dataclass(frozen=True)
class HanFormat:
    """`types`: what each system's meters call themselves. `ciphered`: lists may be encrypted."""

    variants: tuple[str, ...]
    types: dict[str, str]
    ciphered: bool = True


FORMATS = {
    "aidon": HanFormat(
        ("no", "se", "landis"), {"1P2W": "6515", "3P3W": "6525", "3P4W": "6534"}
    ),
    "kaifa": HanFormat(
        ("no", "se", "se-obis", "at", "at-salzburg"),
        {"1P2W": "MA105H2E", "3P3W": "MA304H3E", "3P4W": "MA304H4"},
    ),
    "kamstrup": HanFormat(
        ("no", "se"),
        {
            "1P2W": "6861111BN242101040",
            "3P3W": "6841121BN243101040",
            "3P4W": "6841131BN243101040",
        },
    ),
    "p1": HanFormat(
        ("se", "se-kamstrup", "se-landis", "se-aidon", "fi", "dk", "dk-landis", "dk-nes", "nl40",
         "nl4", "nl5", "be", "be-171", "lu", "hu", "at"),
        {"1P2W": "OAMS1", "3P3W": "OAMS3", "3P4W": "OAMS3"},
        ciphered=False,
    ),
    "landis": HanFormat(
        ("ch", "ch-e360", "at", "at-burgenland"),
        {"1P2W": "ZCF110", "3P3W": "ZFF110", "3P4W": "ZMF110"},
    ),
    "iskraemeco": HanFormat(
        ("si", "si-celje", "ch", "at", "at-kelag", "hr"),
        {"1P2W": "AM550-ED1", "3P3W": "AM550-TD2", "3P4W": "AM550-TD2"},
    ),
    "sagemcom": HanFormat(
        ("at", "cz"), {"1P2W": "S210-D", "3P3W": "T210-D", "3P4W": "T210-D"}
    ),
    "sml": HanFormat(
        ("emh", "emh-iw", "emh-gw", "emh-mme", "iskra", "iskra-mt631", "landis", "dzg", "dzg-dwsb",
         "easymeter", "ebz", "holley", "holley-zdba", "itron", "apator", "smarty"),
        {"1P2W": "eHZ", "3P3W": "eHZ", "3P4W": "eHZ"},
        ciphered=False,
    ),
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Every name that `--han-format` takes."""
    out: list[str] = []
    for name, kind in FORMATS.items():
        out += [name, *(f"{name}-{variant}" for variant in kind.variants)]
    return tuple(out)


def resolve(text: str, variant: str | None = None) -> tuple[str, str]:
    """(format, variant) of a name; `variant` may say the variant instead of it."""
    name, _, named = text.partition("-")
    if text not in names():
        raise BenchError(f"--han-format {text!r} is unknown: choose one of {', '.join(names())}")
    kind = FORMATS[name]
    if variant is not None and variant not in kind.variants:
        raise BenchError(
            f"--han-variant {variant!r} is unknown for {name}: "
            f"choose one of {', '.join(kind.variants)}"
        )
    if named and variant not in (None, named):
        raise BenchError(f"--han-format {text} and --han-variant {variant} disagree: give one")
    return name, named or variant or kind.variants[0]


def parse_options(texts: list[str]) -> dict[str, str | int | bool]:
    """`NAME=VALUE` of `--han-option`: a whole number, true, false or a word."""
    out: dict[str, str | int | bool] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise BenchError(f"--han-option {text!r} is none: write it like hourly_s=15")
        if value in ("true", "false"):
            out[name] = value == "true"
        else:
            out[name] = int(value) if value.isdecimal() else value
    return out
