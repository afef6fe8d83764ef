"""The HAN port: formats by name. A format that is not used is not loaded.

A format is a class with `name`, `variants` (the first is the default) and, of
the class or of what it makes of a variant and options: `line` (as
hal.Uart.init takes it), `schedule` (pairs of period in ms and list number),
`hourly` (the number of the list of a full hour, or None) and `hourly_ms` (how
long after the hour it goes), `summer_time` (whether its time has it),
`ciphered` (whether its lists may be encrypted), `wants_sources` (whether it
shows more than quantities and registers, see sources.py), `largest` (octets of
a list) and `encode(list_no, writer, view, utc_ms)`. One with `frame(list,
cipher)` seals and frames by that what `encode` gives.
"""

# Name: module of this room, class.
_FORMATS = {
    "aidon": ("aidon", "Aidon"),
    "iskraemeco": ("iskraemeco", "Iskraemeco"),
    "kaifa": ("kaifa", "Kaifa"),
    "kamstrup": ("kamstrup", "Kamstrup"),
    "landis": ("landis", "Landis"),
    "p1": ("p1", "P1"),
    "sagemcom": ("sagemcom", "Sagemcom"),
    "sml": ("sml", "Sml"),
}
# Variants of another module than their format's, by how they begin.
_APART = {"kaifa": ("at", "kaifa_at", "KaifaAt")}
FORMATS = tuple(sorted(_FORMATS))


def make_format(name, variant=None, options=None):
    """A list format. Raises ValueError, in one line, for an unknown one."""
    if name not in _FORMATS:
        raise ValueError("HAN format %r is unknown: choose one of %s" % (name, ", ".join(FORMATS)))
    module, kind = _FORMATS[name]
    apart = _APART.get(name)
    if apart and variant and variant.startswith(apart[0]):
        module, kind = apart[1:]
    Format = getattr(__import__("ams.han." + module, None, None, (kind,)), kind)
    if variant is None:
        variant = Format.variants[0]
    if variant not in Format.variants:
        raise ValueError(
            "HAN variant %r is unknown for %s: choose one of %s"
            % (variant, name, ", ".join(Format.variants))
        )
    try:
        return Format(variant, **(options or {}))
    except TypeError:
        raise ValueError(
            "HAN format %s does not take the options %s" % (name, ", ".join(sorted(options)))
        )
