// The display of the case, in seven segments: it shows what the meter's own display does.

import { order } from "./controls.js";
import { byId, setText, svg } from "./dom.js";

const DIGITS = 8;
// Segments a to g of each figure.
const SEGMENTS = {
  0: "abcdef", 1: "bc", 2: "abdeg", 3: "abcdg", 4: "bcfg", 5: "acdfg", 6: "acdefg", 7: "abc",
  8: "abcdefg", 9: "abcdfg", "-": "g", ":": "g", " ": "",
  A: "abcefg", B: "cdefg", C: "adef", D: "bcdeg", E: "adefg", F: "aefg", L: "def", N: "ceg",
  O: "abcdef", P: "abefg", R: "eg", S: "acdfg", T: "defg", Y: "bcdfg",
};
const SHAPES = {
  a: "4,0 20,0 17,4 7,4", b: "21,1 21,19 17,17 17,5", c: "21,21 21,39 17,35 17,23",
  d: "7,36 17,36 20,40 4,40", e: "3,21 7,23 7,35 3,39", f: "3,1 7,5 7,17 3,19",
  g: "4,20 7,18 17,18 20,20 17,22 7,22",
};

export class Lcd {
  constructor(root, words) {
    this.root = root;
    this.words = words;
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

  // Called with every view.
  show(view, hello) {
    const display = view.display;
    if (!display) return;
    const test = display.testing; // all segments, as when the power comes
    const [code, value, unit, note] = display.item;
    this.figures(test ? "8.8.8.8.8.8.8.8." : value);
    setText(this.parts.code, test ? "88.8.8" : `${code}  ${note}`);
    setText(this.parts.unit, test ? "kWh" : unit);
    setText(this.parts.scroll, test ? "" : `${display.title} ${display.at + 1}/${display.count}`);
    this.flags(view, hello);
    const words = test ? "88.8.8 test" : `${code} ${value} ${unit}`.trim();
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
  byId("step").addEventListener("click", () => order({ do: "display", press: "next" }));
  byId("list").addEventListener("click", () => order({ do: "display", press: "list" }));
  return lcd;
}
