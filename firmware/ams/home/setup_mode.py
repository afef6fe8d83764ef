"""The set-up page: a network of the meter's own for ten minutes, opened by who stands at it.

Three short presses of the button open it (a press of a second or more is the breaker's). Its name
and a code of one use are shown at the console and on a display; the code is the network's password
(WPA2) and has to be typed into the form, so that no page of another site in the same browser can
send it. Five wrong codes end it. The page shows nothing of what is stored.
"""

import json

from micropython import const

from ams.control.button import Press
from ams.crypto.gcm import equal
from ams.events import events as ev
from ams.home import captive_dns
from ams.home.broker import Broker
from ams.home.web_form import Request, Status
from ams.results import AccessError
from ams.storage import settings as st

OPEN_MS = const(600000)
_PRESSES = const(3)
_PRESS_MOST_MS = const(1000)
_WITHIN_MS = const(5000)
_WRONG_MOST = const(5)
_CONNECTION_MS = const(5000)
_CELL_MOST = const(400)  # octets that share a sector with all other parameters
HTTP_PORT = const(80)
DNS_PORT = const(53)
# Capitals: a small display has no others.
_SIGNS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ2"
_CODE_SIGNS = const(10)
# Of the event: what happened.
OPENED = const(1)
SAVED = const(2)
LOCKED = const(3)

_TEXTS = {
    200: "OK", 302: "Found", 400: "Bad Request", 403: "Forbidden", 405: "Method Not Allowed",
    411: "Length Required", 413: "Content Too Large", 431: "Request Header Fields Too Large",
    500: "Internal Server Error",
}  # fmt: skip
_PAGE = (
    b"<!doctype html><html lang=en><meta charset=utf-8>"
    b"<meta name=viewport content='width=device-width'><title>OpenAMS</title>"
    b"<style>body{font:1em sans-serif;max-width:30em;margin:1em auto;padding:0 1em}"
    b"label{display:block;margin:.6em 0}"
    b"input,textarea{width:100%;box-sizing:border-box;font:inherit}"
    b"input[type=checkbox]{width:auto}.e{color:#b00}</style><h1>OpenAMS</h1>"
)
_FORM = (
    b"<form method=post action=/ autocomplete=off>"
    b"<label>Code that the meter shows<input name=code required></label>"
    b"<h2>Wi-Fi</h2><label>Network<input name=ssid maxlength=32></label>"
    b"<label>Password<input name=wifi_password type=password maxlength=63></label>"
    b"<h2>MQTT broker</h2><label>Address<input name=broker placeholder=192.168.1.5></label>"
    b"<label>User<input name=user></label>"
    b"<label>Password<input name=password type=password></label>"
    b"<label>Prefix of topics<input name=prefix placeholder=openams></label>"
    b"<label><input name=mqtt type=checkbox value=5> MQTT 5</label>"
    b"<label><input name=tls type=checkbox value=1> TLS</label>"
    b"<label>Name in its certificate<input name=name></label>"
    b"<label>Certificate of its authority (PEM)<textarea name=ca rows=4></textarea></label>"
    b"<p>A field left empty leaves Wi-Fi or broker as it is; one dash as the address forgets the "
    b"broker.<p><button>Save</button></form>"
)
_KEYS = ("user", "password", "prefix", "name", "mqtt")


class SetupMode:
    """`wlan` is a hal.Wlan. `active` while the network is open; `item` is then what a display has
    to show of it, as ams.display.items has them."""

    item = None

    def __init__(self, meter, home, settings, wlan):
        self._meter = meter
        self._home = home
        self._settings = settings
        self._wlan = wlan
        self.active = False
        self._press = Press()
        self._presses = 0
        self._first_ms = 0

    # --- the button ----------------------------------------------------------------------

    def look(self, now_ms, pressed):
        """Often: whether somebody presses the button now."""
        held_ms = self._press.look(now_ms, pressed)
        if held_ms is None:
            return
        if now_ms - self._first_ms > _WITHIN_MS:
            self._presses = 0
        if not self._presses:
            self._first_ms = now_ms - held_ms
        self._presses = self._presses + 1 if held_ms < _PRESS_MOST_MS else 0
        if self._presses >= _PRESSES:
            self._presses = 0
            self.begin(now_ms)

    # --- open and closed -----------------------------------------------------------------

    def begin(self, now_ms):
        if self.active:
            return
        self._code = "".join([_SIGNS[octet & 31] for octet in self._meter.entropy(_CODE_SIGNS)])
        name = "OpenAMS-" + self._meter.identity.meter_id[-4:]
        try:
            self._wlan.open_point(name, self._code)
            self._http = self._wlan.listen(HTTP_PORT)
            self._dns = self._wlan.datagrams(DNS_PORT)
        except OSError as error:
            self._wlan.close_point()
            self._meter.say("home: no set-up page: %s" % error)
            return
        self.active = True
        self._ends_ms = now_ms + OPEN_MS
        self._wrong = 0
        self._peer = None
        self._out = []
        self._saved = False
        self._request = Request()
        self._query = memoryview(bytearray(512))
        self.item = ("KEY", self._code, "", name.upper())
        self._log(OPENED)
        self._meter.say("home: set-up for ten minutes: network %s, code %s" % (name, self._code))

    def end(self):
        if not self.active:
            return
        self.active = False
        self._hang_up()
        for thing in (self._http, self._dns):
            thing.close()
        self._wlan.close_point()
        # Nothing of it stays on the heap.
        self.item = None
        self._request = self._http = self._dns = self._query = self._code = None
        self._meter.say("home: set-up is over")

    def _log(self, what):
        meter = self._meter
        meter.events.log(meter.utc_ms, ev.PARAMETER_CHANGED, ev.PARAMETER_HOME_SETUP, what)

    def poll(self, now_ms):
        """Often while it is active; never waits."""
        if now_ms >= self._ends_ms:
            self.end()
            return
        self._answer_name()
        if self._peer is None:
            try:
                self._peer = self._http.accept()
            except OSError:
                return
            if self._peer is None:
                return
            self._since_ms = now_ms
            self._request.clear()
        try:
            self._serve()
        except OSError:
            self._hang_up()
        if self._peer is not None and now_ms - self._since_ms > _CONNECTION_MS:
            # One that does not go on keeps nobody else from the page.
            self._hang_up()
        if self._peer is None and (self._saved or self._wrong >= _WRONG_MOST):
            saved = self._saved
            self.end()
            if saved:
                self._home.take_up()

    def _answer_name(self):
        found = self._dns.receive(self._query)
        if found is not None:
            count, sender = found
            out = captive_dns.answer(self._query[:count], self._wlan.point_address)
            if out is not None:
                self._dns.send(out, sender)

    def _hang_up(self):
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        self._out = []
        self._request.clear()

    # --- one request ------------------------------------------------------------------------

    def _serve(self):
        peer = self._peer
        if not self._out:
            request = self._request
            count = peer.readinto(request.room())
            if count is None:
                return
            if not count:
                self._hang_up()
                return
            try:
                if not request.took(count):
                    return
                self._out = self._answer(request)
            except Status as status:
                self._out = _reply(status.code, b"")
        while self._out:
            sent = peer.write(self._out[0])
            if sent is not None and sent < len(self._out[0]):
                self._out[0] = self._out[0][sent:]
                return
            self._out.pop(0)
        self._hang_up()

    def _answer(self, request):
        if request.method == b"POST":
            return self._take(request.form())
        if request.method not in (b"GET", b"HEAD"):
            raise Status(405)
        if request.path != b"/":
            # What a phone asks to find out whether there is such a page.
            return _reply(302, b"", b"Location: http://%s/\r\n" % self._wlan.point_address.encode())
        return _reply(200, _FORM)

    def _take(self, form):
        if not equal(form.get("code", "").strip().upper().encode(), self._code.encode()):
            self._wrong += 1
            if self._wrong >= _WRONG_MOST:
                self._log(LOCKED)
                return _reply(403, b"<p class=e>Too many wrong codes: set-up is over.")
            return _reply(403, b"<p class=e>That is not the code." + _FORM)
        try:
            self._keep(form)
        except ValueError as error:
            return _reply(400, b"<p class=e>" + _escaped(str(error)) + _FORM)
        except (AccessError, OSError):
            return _reply(500, b"<p class=e>The meter's flash does not take it.")
        self._saved = True
        self._log(SAVED)
        return _reply(200, b"<p>Saved. This network ends now, and the meter joins its own.")

    def _keep(self, form):
        """Checks all of it before any is stored. Raises ValueError."""
        wifi = broker = None
        if form.get("ssid"):
            wifi = {"ssid": form["ssid"], "password": form.get("wifi_password", "")}
            length = len(wifi["password"].encode())
            if len(wifi["ssid"].encode()) > 32 or length > 63 or 0 < length < 8:
                raise ValueError("Wi-Fi: a name has up to 32 octets, a password none or 8 to 63")
        address = form.get("broker", "").strip()
        ca = form.get("ca", "").strip()
        if address == "-":
            broker = {}
        elif address:
            broker = {"broker": address}
            for key in _KEYS:
                if form.get(key):
                    broker[key] = form[key]
            if form.get("tls"):
                broker["tls"] = True
            checked = dict(broker)
            checked["ca"] = ca
            Broker(checked)
        elif ca:
            raise ValueError("a certificate goes with the address of its broker")
        pairs = ((st.HOME_WIFI, wifi), (st.HOME_BROKER, broker))
        for _, value in pairs:
            if value is not None and len(json.dumps(value).encode()) > _CELL_MOST:
                raise ValueError("that is too long: 400 octets in all")
        if ca:
            self._wlan.keep_authority(ca.encode())
        for cell, value in pairs:
            if value is not None:
                self._settings.set(cell, json.dumps(value).encode())


def _reply(code, body, more=b""):
    """What is sent, in pieces that stay where they are."""
    head = "HTTP/1.1 %d %s\r\n" % (code, _TEXTS.get(code, "Error"))
    if body:
        head += "Content-Type: text/html; charset=utf-8\r\n"
        length = len(_PAGE) + len(body)
    else:
        length = 0
    head += "Content-Length: %d\r\nConnection: close\r\nCache-Control: no-store\r\n" % length
    head += "X-Frame-Options: DENY\r\n"
    out = [head.encode() + more + b"\r\n"]
    return out + [_PAGE, body] if body else out


def _escaped(text):
    for sign, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, escape)
    return text.encode()
