"""Displays by name, as the settings name them: `display` {"kind": "ssd1306" or "lcd"}."""

# Kind: module, class, the fastest that its bus may be.
KINDS = {
    "ssd1306": ("ssd1306", "Ssd1306", 400000),
    "lcd": ("hd44780", "Hd44780", 100000),
}


def join(meter, settings, make_i2c, log):
    """Gives the meter the display of its settings. `make_i2c(hz)` makes the bus. What is wrong with
    the settings is said, and costs nothing else."""
    try:
        from ams.display.display import Display
        from ams.display.faces import GraphicFace, TextFace
    except ImportError:
        log("display: not in the image of this board")
        return
    kind = settings.get("kind") if isinstance(settings, dict) else settings
    if kind == "page":
        meter.display = Display(meter)
        return
    if kind not in KINDS:
        log("display: no kind %r: it is one of %s" % (kind, ", ".join(KINDS)))
        return
    module, name, hz = KINDS[kind]
    module = __import__("drivers." + module, None, None, (name,))
    screen = getattr(module, name)(make_i2c(hz))
    meter.display = Display(meter, screen, (GraphicFace if screen.graphic else TextFace)(screen))
