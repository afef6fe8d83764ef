"""The HAN port: formats by name. A format that is not used is not loaded."""

FORMATS = ("aidon", "kaifa", "kamstrup", "p1")


def make_format(name, variant=None, options=None):
    """A list format. Raises ValueError, in one line, for an unknown one."""
    if name == "aidon":
        from ams.han.aidon import Aidon as Format
    elif name == "kaifa":
        from ams.han.kaifa import Kaifa as Format
    elif name == "kamstrup":
        from ams.han.kamstrup import Kamstrup as Format
    elif name == "p1":
        from ams.han.p1 import P1 as Format
    else:
        raise ValueError("HAN format %r is unknown: choose one of %s" % (name, ", ".join(FORMATS)))
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
