"""Where the broker is and who we are there: checked once, then octets.

Of the settings (`home`) or of the set-up page:

`broker`    "address:port", the address in digits; the port may be left out (1883, with TLS 8883)
`tls`       True: the certificate is verified against `ca` (PEM) and `name`
`name`      what the certificate says that the broker is called; without one the address
`user`, `password`
`prefix`    of all topics ("openams")
`mqtt`      version of the protocol, "3.1.1" or "5"
`discovery` topic of Home Assistant's discovery ("homeassistant"), "" for none
`period_s`  how often values that changed are said (10)

What is secret is in no message of an error.
"""

from micropython import const

_PERIOD_MOST_S = const(3600)
_NAME_MOST = const(64)
_PREFIX_MOST = const(32)
_PASSWORD_MOST = const(128)
_CA_MOST = const(4096)
_KNOWN = (
    "broker", "tls", "ca", "name", "user", "password", "prefix", "discovery", "period_s", "mqtt",
)  # fmt: skip


def _text(config, key, most, default=""):
    value = config.get(key)
    if value is None:
        value = default
    if not isinstance(value, str):
        raise ValueError("home: %s is a text" % key)
    octets = value.encode()
    if len(octets) > most:
        raise ValueError("home: %s has more than %d octets" % (key, most))
    if min(octets or b" ") < 32 and key != "ca":
        raise ValueError("home: %s has a control character" % key)
    return octets


def _topic(config, key, default):
    octets = _text(config, key, _PREFIX_MOST, default)
    # MQTT 3.1.1, 4.7: + # $ mean something else in a topic; the last two would need care in JSON.
    for sign in b'+#"\\':
        if sign in octets:
            raise ValueError('home: %s has one of + # " \\' % key)
    if octets[:1] in (b"$", b"/") or octets[-1:] == b"/":
        raise ValueError("home: %s begins with $ or /, or ends with /" % key)
    return octets


def destination(text, port):
    """ "address:port" of a text that may leave the port out. Raises ValueError."""
    address, _, given = text.partition(":")
    parts = address.split(".")
    if len(parts) != 4 or not all([_is_number(part, 255) for part in parts]):
        raise ValueError("home: broker is an address like 192.168.1.5, or 192.168.1.5:1883")
    if given or text[-1:] == ":":
        if not _is_number(given, 65535) or not int(given):
            raise ValueError("home: the port of the broker is none: 1 to 65535")
        port = int(given)
    return "%s:%d" % (address, port)


def _is_number(text, most):
    return 0 < len(text) < 6 and text.isdigit() and int(text) <= most


class Broker:
    """`config` as above; raises ValueError in one line."""

    def __init__(self, config):
        for key in config:
            if key not in _KNOWN:
                raise ValueError("home: no setting is called %s" % key)
        self.has_tls = config.get("tls", False)
        if not isinstance(self.has_tls, bool):
            raise ValueError("home: tls is true or false")
        text = _text(config, "broker", _NAME_MOST).decode().strip()
        self.destination = destination(text, 8883 if self.has_tls else 1883)
        self.name = _text(config, "name", _NAME_MOST).decode() or text.partition(":")[0]
        self.ca = _text(config, "ca", _CA_MOST)
        if self.has_tls and not self.ca:
            raise ValueError("home: with tls the certificate of the broker's authority is needed")
        self.user = _text(config, "user", _NAME_MOST) or None
        self.password = _text(config, "password", _PASSWORD_MOST) or None
        if self.password and not self.user:
            # MQTT 3.1.1, 3.1.2.9
            raise ValueError("home: a password goes with a user")
        self.prefix = _topic(config, "prefix", "openams")
        if not self.prefix:
            raise ValueError("home: prefix is empty")
        self.discovery = _topic(config, "discovery", "homeassistant")
        version = config.get("mqtt", "3.1.1")
        if version not in ("3.1.1", "5"):
            raise ValueError('home: mqtt is "3.1.1" or "5"')
        self.level = 5 if version == "5" else 4  # as CONNECT has it
        self.period_s = config.get("period_s", 10)
        if not isinstance(self.period_s, int) or not 1 <= self.period_s <= _PERIOD_MOST_S:
            raise ValueError("home: period_s is 1 to %d" % _PERIOD_MOST_S)

    @property
    def tls(self):
        """(name, authority) for hal.Network.dial, or None."""
        return (self.name, self.ca) if self.has_tls else None
