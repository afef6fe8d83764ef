// The page of one meter: takes the stream of events, and hands each to what shows it.

import { offer, order, showHan, showMode, startControls, token } from "./controls.js";
import { byId, fixed, setText } from "./dom.js";
import { startLcd } from "./lcd.js";
import { Led } from "./led.js";
import { addEvents, addFrame, clearLists } from "./lists.js";
import { drawPhasors, fillPhases } from "./phasors.js";
import { Profile } from "./profile.js";
import { Trace } from "./trace.js";

const lcd = startLcd();
const led = new Led(byId("led"), byId("pulses"));
const trace = new Trace(byId("trace"));
const profile = new Profile(order);
const STATES = ["disconnected", "connected", "ready for reconnection"];
let hello = null;

function greet(said) {
  // Another run at the same address has another token: the page is taken anew.
  if (hello && hello.run !== said.run) { location.reload(); return; }
  hello = said;
  document.title = `OpenAMS ${said.meter_id}`;
  const speed = said.speed === null ? "at full speed" : said.speed === 1 ? "" : `at ${said.speed} times the speed`;
  setText(byId("what"), [said.scenario, said.system, said.sampled ? "sampled" : "quantities", said.runtime, speed]
    .filter(Boolean).join(" · "));
  setText(byId("plate-type"), `${said.system} · ${said.han_format}`);
  setText(byId("plate-id"), said.meter_id);
  offer(said);
}

function show(view) {
  const q = view.quantities;
  const p = q.total_active_power_mw / 1000;
  setText(byId("p"), fixed(Math.abs(p), 0));
  const direction = byId("direction");
  setText(direction, Math.abs(p) < 0.5 ? "" : p < 0 ? "export" : "import");
  direction.classList.toggle("export", p < 0);
  setText(byId("q"), `${fixed(q.total_reactive_power_mvar / 1000, 0)} var`);
  setText(byId("f"), q.frequency_mhz ? `${fixed(q.frequency_mhz / 1000, 2)} Hz` : "-- Hz");
  setText(byId("status"), [view.time.slice(0, 19).replace("T", " "), ...q.status_names].join(" · "));
  fillPhases(byId("phases"), q, hello.system);
  drawPhasors(byId("phasors"), byId("phasor-note"), q, hello.system);
  lcd.show(view, hello);
  led.show(view.pulses);
  const breaker = byId("breaker");
  setText(breaker, STATES[view.breaker.state]);
  breaker.className = `breaker ${["disconnected", "connected", "ready"][view.breaker.state]}`;
  showMode(view.breaker.mode);
  showHan(view.han, hello.operator);
}

const handlers = {
  hello: greet,
  past: (past) => {
    clearLists();
    trace.begin(past.trace);
    past.frames.forEach(addFrame);
    addEvents(past.events);
    profile.show(past.profile);
    if (past.view) show(past.view);
  },
  view: (view) => { show(view); trace.add(view.point); },
  frame: addFrame,
  events: addEvents,
  profile: (day) => profile.show(day),
};

function connected(on, words) {
  const place = byId("connection");
  place.classList.toggle("on", on);
  setText(place, words);
}

function listen() {
  const needed = !document.querySelector("meta[name=openams-token]").content;
  if (needed && !token) {
    connected(false, "no token");
    setText(byId("notice"), "This meter is shown to whoever has its whole address: open the one that ams run printed, with what stands behind the #.");
    byId("notice").hidden = false;
    return;
  }
  const stream = new EventSource(needed ? `api/stream?token=${encodeURIComponent(token)}` : "api/stream");
  stream.addEventListener("open", () => connected(true, "live"));
  stream.addEventListener("error", () => connected(false, "not connected: trying again"));
  for (const [kind, handler] of Object.entries(handlers)) {
    stream.addEventListener(kind, (event) => handler(JSON.parse(event.data)));
  }
  stream.addEventListener("end", () => {
    connected(false, "the run has ended");
    stream.close();
    setTimeout(again, 2000);
  });
}

async function again() {
  try {
    const response = await fetch("./", { method: "HEAD" });
    if (response.ok) { location.reload(); return; }
  } catch { /* nobody there yet */ }
  setTimeout(again, 2000);
}

startControls();
listen();
