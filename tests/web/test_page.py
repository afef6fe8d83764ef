"""The page of a meter in a real browser: what it shows is what the meter says, and it works."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from openams.han.reader import decode_frame

AMS = Path(sys.executable).with_name("ams")
HOUSE = ("--scenario", "house", "--system", "3P4W", "--start", "2026-01-15T12:00:00")


def stream_of(meter, kinds, count=1, timeout_s=30):
    """The first `count` values of the stream of each of `kinds`, as a program reads it."""
    out = {kind: [] for kind in kinds}
    with urllib.request.urlopen(meter.url + "api/stream", timeout=timeout_s) as stream:
        kind = None
        for line in stream:
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                kind = text.removeprefix("event: ")
            elif text.startswith("data: ") and kind in out and len(out[kind]) < count:
                out[kind].append(json.loads(text.removeprefix("data: ")))
            if all(len(values) == count for values in out.values()):
                return out
    raise AssertionError(out)


@pytest.fixture(scope="module")
def house(running):
    """A meter in a house whose minute is half of one."""
    return running(*HOUSE, "--han-open", "--speed", "2")


def look_at(browser, meter):
    browser.errors.clear()
    browser.requests.clear()
    browser.size(1280, 900)
    browser.scheme("light")
    browser.open(meter.url)
    browser.wait("document.querySelector('#lcd-text')?.textContent")


@pytest.fixture
def page(browser, house):
    """Its page, on a screen of usual size."""
    look_at(browser, house)
    yield browser
    assert browser.errors == []


def test_the_face_shows_the_meter_live(page, house):
    assert page.text("#connection") == "live" and "3P4W" in page.text("#what")
    assert page.text("#plate-id") == "7359990000000017"
    # Power and voltages are those of the meter.
    view = stream_of(house, ["view"])["view"][0]
    cells = page.run(
        "[...document.querySelectorAll('#phases tr')].slice(1).map(r => r.cells[1].textContent)"
    )
    volts = [mv / 1000 for mv in view["quantities"]["voltage_mv"]]
    assert [float(cell) for cell in cells] == pytest.approx(volts, abs=3)
    assert page.run("document.querySelectorAll('#phasors .vector').length") >= 6
    # The LED flashes, and every pulse is a watt-hour of the registers.
    page.wait("Number(document.querySelector('#led').dataset.flashes) >= 2")
    pulses, registers = (
        page.run("[parseInt(document.querySelector('#pulses').textContent), 0]")[0],
        stream_of(house, ["view"])["view"][0]["registers"],
    )
    assert 0 <= (registers["a_plus_mwh"] + registers["a_minus_mwh"]) // 1000 - pulses <= 60
    assert page.wait("document.querySelectorAll('#events li').length") >= 2
    assert page.run("document.querySelector('#trace path.curve').getAttribute('d').length") > 30
    assert {url.split("/")[2] for url in page.requests if url.startswith("http")} == {
        house.url.split("/")[2]
    }


def test_the_page_shows_what_the_meters_display_does(page, house):
    """One source: codes, values and their form are the firmware's; the page draws them."""
    first = page.wait(
        "/^1.8.0/.test(document.querySelector('#lcd-text').textContent)"
        " && document.querySelector('#lcd-text').textContent"
    )
    assert re.fullmatch(r"1\.8\.0 \d{6}\.\d\d kWh", first)
    seen = set()

    def press(button):
        before = page.text("#lcd-text")
        page.run(f"document.querySelector('#{button}').focus()")
        page.key("Enter", text="\r")
        page.wait(f"document.querySelector('#lcd-text').textContent != {json.dumps(before)}")
        seen.add(page.text("#lcd-text").split()[0])

    for _ in range(6):
        press("step")
    assert seen >= {"1.8.0", "2.8.0", "3.8.0", "4.8.0", "0.9.1", "0.9.2"}
    for button in ("list", "step", "step", "step", "step", "list", "list"):
        press(button)
    assert seen >= {"1.7.0", "2.7.0", "3.7.0", "4.7.0", "32.7.0", "1.6.0", "96.1.0"}
    # What is drawn is what is said: the segments of each figure.
    lit = page.run(
        "[...document.querySelectorAll('#lcd g')].map(g => g.querySelectorAll('.on').length)"
    )
    digits = page.text("#lcd-text").split()[1]
    counts = {"0": 6, "1": 2, "2": 5, "3": 5, "4": 4, "5": 5, "6": 6, "7": 3, "8": 7, "9": 6}
    assert lit == [counts[digit] for digit in digits]


def test_frames_are_decoded_as_they_go_and_quirks_switch(page, house):
    page.wait("document.querySelectorAll('#frames li').length > 3")
    hexes = page.run(
        "[...document.querySelectorAll('#frames li')].map(li =>"
        " [li.querySelector('summary').textContent, li.querySelector('.hex').textContent])"
    )
    for shown, frame in hexes:
        reading = decode_frame(bytes.fromhex(frame))
        assert f"kaifa list {reading.list_no}" in shown
        assert f"P+ {reading.values['active_power_import_w']} W" in shown
    assert page.run("document.querySelectorAll('#frames .bad').length") == 0
    choose = (
        "(() => {{ const s = document.querySelector('#quirk'); s.value = '{0}';"
        " s.dispatchEvent(new Event('change')); }})()"
    )
    options = page.run("[...document.querySelector('#quirk').options].map(o => o.value)")
    assert "noise" in options and "sweden-hybrid" not in options and "rekey" not in options
    page.run(choose.format("cut"))
    page.wait("document.querySelectorAll('#frames .bad').length > 0", 40)
    assert "one frame of four" in page.text("#quirk-help")
    page.run(choose.format("silent"))
    page.wait("document.querySelector('#quirk-help').textContent.includes('three minutes')")
    page.run(choose.format(""))
    page.wait("document.querySelector('#quirk-help').textContent === ''")
    assert stream_of(house, ["hello"])["hello"][0]["quirk"] is None


def test_the_operator_and_the_button_move_the_breaker(page, house):
    page.run("document.querySelector('#disconnect').click()")
    page.wait("document.querySelector('#breaker').textContent === 'disconnected'")
    page.wait("document.querySelector('#p').textContent === '0'")
    page.wait("document.querySelector('#events').textContent.includes('remote-disconnection')")
    page.wait("!document.querySelector('#reconnect').disabled")
    page.run("document.querySelector('#reconnect').click()")
    page.wait("document.querySelector('#breaker').textContent === 'connected'", 30)
    page.wait("document.querySelector('#p').textContent > 0")
    # The HAN port, by its operator.
    page.run("document.querySelector('#han-switch').click()")
    page.wait("document.querySelector('#han-state').textContent.startsWith('closed')")
    page.wait("document.querySelector('#events').textContent.includes('han-closed')")
    # In mode 1 the operator releases, and whoever is at the meter closes: a second of its time.
    mode = (
        "(() => { const s = document.querySelector('#mode'); s.value = '1';"
        " s.dispatchEvent(new Event('change')); })()"
    )
    page.run(mode)
    end = time.monotonic() + 20
    while stream_of(house, ["view"])["view"][0]["breaker"]["mode"] != 1:
        assert time.monotonic() < end, page.text("#answer")
    # By hand: five seconds of the meter's time are two and a half here.
    page.run("document.querySelector('#press').focus()")
    page.key(" ", "Space", " ", up=False)
    page.wait("document.querySelector('#breaker').textContent !== 'connected'")
    assert page.run("document.querySelector('#press').getAttribute('aria-pressed')") == "true"
    page.key(" ", "Space", down=False)
    page.wait("document.querySelector('#events').textContent.includes('manual-disconnection')")
    assert page.run("document.querySelector('#press').getAttribute('aria-pressed')") == "false"
    # Ready now: held for a second and let go, it comes back five seconds later.
    page.wait("document.querySelector('#breaker').textContent.startsWith('ready')")
    time.sleep(0.5)  # the meter looks at it a few times a second
    page.key(" ", "Space", " ", up=False)
    time.sleep(1.2)
    page.key(" ", "Space", down=False)
    page.wait("document.querySelector('#events').textContent.includes('manual-connection')")
    page.wait("document.querySelector('#breaker').textContent === 'connected'")
    # Nothing is told twice.
    listed = page.run("[...document.querySelectorAll('#events li')].map(li => li.textContent)")
    assert len(set(listed)) == len(listed)
    # And something at the case.
    page.run("[...document.querySelectorAll('#case-inputs button')][2].click()")
    page.wait("document.querySelector('#events').textContent.includes('magnetic-field')")


def test_the_day_and_the_days_before(running, browser, tmp_path):
    state = tmp_path / "state"
    before = [*HOUSE, "--start", "2026-01-14T21:00:00", "--state", state, "--speed", "max"]
    before += ["--duration", 5 * 3600, "--runtime", "cpython"]
    subprocess.run([AMS, "run", *map(str, before)], check=True, capture_output=True)
    meter = running(*HOUSE, "--start", "2026-01-15T02:00:10", "--state", str(state))
    browser.open(meter.url)
    browser.wait("document.querySelectorAll('#profile-table tr').length === 3")
    profile = stream_of(meter, ["past"])["past"][0]["profile"]
    total = sum(entry["a_plus_mwh"] for entry in profile["entries"]) / 1e6
    assert f"A+ {total:.3f} kWh" in browser.text("#day-sum") and total > 0
    assert browser.run("document.querySelectorAll('#profile .bar').length") >= 2
    assert browser.run("document.querySelector('#day-after').disabled")
    browser.run("document.querySelector('#day-before').click()")
    browser.wait("document.querySelector('#day').textContent === '2026-01-14'")
    browser.wait("document.querySelectorAll('#profile-table tr').length === 4")
    browser.run("document.querySelector('#day-after').click()")
    browser.wait("document.querySelector('#day').textContent === '2026-01-15'")


# Relative luminance and contrast as WCAG 2.2 has them.
CONTRAST = """(() => {
  const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => v / 255).map((v) =>
    v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (node) => { while (node) { const c = getComputedStyle(node).backgroundColor;
    if (!/rgba\\(0, 0, 0, 0\\)|transparent/.test(c)) return c; node = node.parentElement; }
    return 'rgb(255, 255, 255)'; };
  const low = [];
  const kinds = 'h1,h2,p,span,td,th,button:not(:disabled),summary,legend,label,time,li';
  for (const node of document.querySelectorAll(kinds)) {
    if (!node.textContent.trim() || !node.offsetParent) continue;
    if (node.closest('.hidden,[hidden]')) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(`${node.tagName}#${node.id}.${node.className}: ${ratio.toFixed(2)}`);
  }
  return low; })()"""


def test_light_and_dark_and_the_width_of_a_phone(page, house):
    grounds = set()
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        for width in (320, 360, 768, 1280):
            page.size(width, 740, mobile=width < 700)
            wide = page.run("document.documentElement.scrollWidth")
            assert wide <= width, (scheme, width, wide)
        grounds.add(page.run("getComputedStyle(document.documentElement).backgroundColor"))
        assert page.run(CONTRAST) == []
    assert len(grounds) == 2
    # Fingers: nothing to press is smaller than 24 pixels (WCAG 2.5.8), nothing is cut off.
    page.size(360, 740, mobile=True)
    small = """[...document.querySelectorAll('button, select')].filter(b => b.offsetParent)
      .map(b => [b.id, b.getBoundingClientRect()])
      .filter(([, r]) => r.height < 24 || r.width < 24 || r.left < 0 || r.right > innerWidth)
      .map(([id]) => id)"""
    assert page.run(small) == []


def test_everything_is_reached_by_the_keyboard_and_has_a_name(page, house):
    count = page.run(
        "[...document.querySelectorAll('button, select, summary')]"
        ".filter(b => b.offsetParent && !b.disabled).length"
    )
    page.run("document.body.focus()")
    reached = set()
    for _ in range(count + 8):
        page.key("Tab")
        reached.add(
            page.run(
                "(() => { const a = document.activeElement;"
                " return a.id || a.textContent.trim().slice(0, 30); })()"
            )
        )
    for name in ("step", "press", "day-before", "quirk", "han-switch", "disconnect", "reconnect",
                 "magnetic field", "welded"):  # fmt: skip
        assert name in reached, (name, reached)
    nameless = page.run(
        "[...document.querySelectorAll('button, select')].filter(b => !(b.textContent.trim()"
        " || b.getAttribute('aria-label'))).length"
    )
    assert nameless == 0


def test_phasors_close_to_what_was_measured_across_them(running, browser):
    """U13 and I2 of an IT net are measured by cross sums; the vectors must come to the same."""
    meter = running("--scenario", "house", "--system", "3P3W", "--start", "2026-01-15T12:00:00")
    browser.open(meter.url)
    browser.wait("document.querySelector('#p')?.textContent > 0")
    q = stream_of(meter, ["view"], 4)["view"][-1]["quantities"]
    volts, amperes = browser.run(
        f"import('/phasors.js').then(m => {{ const v = m.vectors({json.dumps(q)}, '3P3W');"
        " return [v.volts, v.amperes].map(l => l.map(([x, y]) => Math.hypot(x, y))); })"
    )
    assert volts == pytest.approx([mv / 1000 for mv in q["voltage_mv"]], rel=0.01)
    assert amperes == pytest.approx([ua / 1e6 for ua in q["current_ua"]], rel=0.03, abs=0.02)


def test_a_page_of_somebody_else_in_the_same_browser_does_nothing(page, house):
    script = f"""<script>
      const headers = {{ 'X-OpenAMS-Token': 'guess', 'Content-Type': 'application/json' }};
      const body = JSON.stringify({{ do: 'input', name: 'terminal-cover-removed' }});
      const tries = [fetch('{house.url}api/do', {{ method: 'POST', body, headers }}),
        fetch('{house.url}api/do', {{ method: 'POST', body, mode: 'no-cors' }}),
        fetch('{house.url}'), fetch('{house.url}api/stream')];
      window.heard = 0;
      new EventSource('{house.url}api/stream').addEventListener('hello', () => window.heard += 1);
      Promise.allSettled(tries).then((done) => {{
        window.done = done.map((d) => d.status === 'fulfilled' ? d.value.type : 'refused'); }});
    </script>""".encode()

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(script)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page.open(f"http://localhost:{server.server_port}/")
        done = page.wait("window.done")
        assert done == ["refused"] * 4
        time.sleep(0.5)
        assert page.run("window.heard") == 0
    finally:
        server.shutdown()
        server.server_close()
    events = stream_of(house, ["past"])["past"][0]["events"]
    assert "terminal-cover-removed" not in [event["name"] for event in events]
    page.errors.clear()  # those of the other page


def test_the_page_says_when_the_run_has_ended_and_takes_up_the_next(running, browser):
    meter = running(*HOUSE)
    look_at(browser, meter)
    out, error = meter.stop()
    assert meter.process.returncode == 0 and "Traceback" not in error and "stopped at" in out
    browser.wait("document.querySelector('#connection').textContent.includes('ended')")
    # Another run at the same address has another token.
    port = meter.url.split(":")[2].strip("/")
    other = running(*HOUSE, "--web", port, "--meter-id", "7359990000000024")
    browser.wait("document.querySelector('#plate-id')?.textContent === '7359990000000024'")
    token = browser.run("document.querySelector('meta[name=openams-token]').content")
    assert token == other.token() != ""
