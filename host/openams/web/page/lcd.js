// The display of the case: registers by their OBIS code, one after the other, in seven segments.

import { byId, fixed, setText, svg } from "./dom.js";

const STEP_MS = 5000;
// After the button the display waits for so long before it goes on by itself.
const HELD_MS = 20000;
const TEST_MS = 1500;
const DIGITS = 8;
// Segments a to g of each figure.
const SEGMENTS = {
  0: "abcdef", 1: "bc", 2: "abdeg", 3: "abcdg", 4: "bcfg", 5: "acdfg", 6: "acdefg", 7: "abc",
  8: "abcdefg", 9: "abcdfg", "-": "g", " ": "",
};
const SHAPES = {
  a: "4,0 20,0 17,4 7,4", b: "21,1 21,19 17,17 17,5", c: "21,21 21,39 17,35 17,23",
  d: "7,36 17,36 20,40 4,40", e: "3,21 7,23 7,35 3,39", f: "3,1 7,5 7,17 3,19",
  g: "4,20 7,18 17,18 20,20 17,22 7,22",
};

const energy = (mwh) => fixed(mwh / 1e6, 3).padStart(9, "0");

// What it shows: code, value, unit. Only what the meter of this system has.
function pages(view, hello) {
  const q = view.quantities;
  const r = view.registers;
  const places = hello.system === "1P2W" ? [0] : [0, 1, 2];
  const p = q.total_active_power_mw / 1e6;
  const list = [
    ["1.8.0", energy(r.a_plus_mwh), "kWh"],
    ["2.8.0", energy(r.a_minus_mwh), "kWh"],
    ["3.8.0", energy(r.r_plus_mvarh), "kvarh"],
    ["4.8.0", energy(r.r_minus_mvarh), "kvarh"],
    ["1.7.0", fixed(Math.max(p, 0), 3), "kW"],
    ["2.7.0", fixed(Math.max(-p, 0), 3), "kW"],
  ];
  for (const k of places) list.push([`${32 + 20 * k}.7.0`, fixed(q.voltage_mv[k] / 1000, 1), "V"]);
  for (const k of places) list.push([`${31 + 20 * k}.7.0`, fixed(q.current_ua[k] / 1e6, 2), "A"]);
  list.push(
    ["14.7.0", q.frequency_mhz ? fixed(q.frequency_mhz / 1000, 2) : "--", "Hz"],
    ["1.6.0", fixed(view.max_demand_mw[0] / 1e6, 3), "kW"],
    ["0.9.1", view.time.slice(11, 19).replaceAll(":", "-"), ""],
    ["0.9.2", view.time.slice(2, 10), ""],
  );
  return list;
}

export class Lcd {
  constructor(root, words) {
    this.root = root;
    this.words = words;
    this.at = 0;
    this.next = 0;
    this.began = performance.now();
    this.digits = [];
    this.parts = {};
    this.draw();
  }

  draw() {
    for (let n = 0; n < DIGITS; n += 1) {
      const group = svg("g", { transform: `translate(${22 + n * 30} 38)` });
      const digit = { dot: svg("circle", { cx: 25, cy: 39, r: 2.6, class: "off" }) };
      for (const [name, points] of Object.entries(SHAPES)) {
        digit[name] = svg("polygon", { points, class: "off" });
        group.append(digit[name]);
      }
      group.append(digit.dot);
      this.digits.push(digit);
      this.root.append(group);
    }
    const label = (name, x, y, text, anchor) => {
      this.parts[name] = svg("text", { x, y, "text-anchor": anchor }, text);
      this.root.append(this.parts[name]);
    };
    label("code", 12, 24, "", "start");
    label("unit", 308, 77, "", "end");
    ["L1", "L2", "L3"].forEach((name, k) => label(name, 14 + k * 30, 104, name, "start"));
    label("arrow", 118, 104, "", "start");
    label("han", 182, 104, "HAN", "start");
    label("breaker", 308, 104, "", "end");
    label("scroll", 308, 24, "", "end");
  }

  step() {
    this.at += 1;
    this.next = performance.now() + HELD_MS;
  }

  // Called with every view; goes on to the next register by itself.
  show(view, hello) {
    const now = performance.now();
    if (this.next === 0) this.next = now + TEST_MS + STEP_MS;
    if (now >= this.next) {
      this.at += 1;
      this.next = now + STEP_MS;
    }
    const test = now - this.began < TEST_MS; // all segments, as when the power comes
    const list = pages(view, hello);
    this.at %= list.length;
    const [code, value, unit] = list[this.at];
    this.figures(test ? "8.8.8.8.8.8.8.8." : value, test);
    setText(this.parts.code, test ? "88.8.8" : code);
    setText(this.parts.unit, test ? "kWh" : unit);
    setText(this.parts.scroll, `${this.at + 1}/${list.length}`);
    this.flags(view, hello);
    const words = `${code} ${value} ${unit}`.trim();
    setText(this.words, words);
    this.root.setAttribute("aria-label", `Display: ${words}`);
  }

  figures(text) {
    const cells = [];
    for (const sign of text) {
      if (sign === "." && cells.length) cells[cells.length - 1].dot = true;
      else cells.push({ sign, dot: false });
    }
    while (cells.length < DIGITS) cells.unshift({ sign: " ", dot: false });
    this.digits.forEach((digit, n) => {
      const cell = cells[n];
      const lit = SEGMENTS[cell.sign] ?? "";
      for (const name of Object.keys(SHAPES)) {
        digit[name].setAttribute("class", lit.includes(name) ? "on" : "off");
      }
      digit.dot.setAttribute("class", cell.dot ? "on" : "off");
    });
  }

  flags(view, hello) {
    const names = view.quantities.status_names;
    ["L1", "L2", "L3"].forEach((name, k) => {
      const there = (hello.system !== "1P2W" || k === 0) && !names.includes(`phase ${name} lost`)
        && !names.includes("no voltage");
      this.parts[name].setAttribute("class", there ? "" : "off");
    });
    const p = view.quantities.total_active_power_mw;
    setText(this.parts.arrow, p > 0 ? "→ +P" : p < 0 ? "← -P" : "");
    this.parts.han.setAttribute("class", view.han.open ? "" : "off");
    setText(this.parts.breaker, ["OFF", "ON", "READY"][view.breaker.state]);
  }
}

export function startLcd() {
  const lcd = new Lcd(byId("lcd"), byId("lcd-text"));
  byId("step").addEventListener("click", () => lcd.step());
  return lcd;
}
