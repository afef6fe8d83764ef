// The energy of each interval of a day, and the days beside it.

import { byId, el, fixed, setText, svg } from "./dom.js";
import { label, scale, sized } from "./trace.js";

const LEFT = 56, TOP = 10, BOTTOM = 172, HEIGHT = 200;
const HOUR_MS = 3600000;

export class Profile {
  constructor(order) {
    this.shown = null;
    byId("day-before").addEventListener("click", () => this.go(-1, order));
    byId("day-after").addEventListener("click", () => this.go(1, order));
    addEventListener("resize", () => this.shown && this.draw(this.shown));
  }

  go(days, order) {
    if (!this.shown) return;
    // Noon, so that no change of the clock moves the date.
    const day = new Date(`${this.shown.day}T12:00:00Z`);
    day.setUTCDate(day.getUTCDate() + days);
    order({ do: "day", day: day.toISOString().slice(0, 10) });
  }

  show(profile) {
    if (!profile) return;
    this.shown = profile;
    setText(byId("day"), profile.day);
    byId("day-after").disabled = profile.today;
    const sum = (name) => profile.entries.reduce((total, entry) => total + entry[name], 0) / 1e6;
    setText(byId("day-sum"), profile.entries.length
      ? `A+ ${fixed(sum("a_plus_mwh"), 3)} kWh, A− ${fixed(sum("a_minus_mwh"), 3)} kWh`
      : "no interval has ended yet");
    this.draw(profile);
    this.table(profile);
  }

  draw({ entries, begin_ms: begin, end_ms: end, day }) {
    const means = entries.map((entry) => (["a_plus_mwh", "a_minus_mwh"]
      .map((name) => (entry[name] * 3.6) / Math.max(entry.length_s, 1))));
    const [low, high, step] = scale(-Math.max(0, ...means.map((m) => m[1])), Math.max(means.length ? 1 : 1000, ...means.map((m) => m[0])));
    const root = byId("profile");
    const right = sized(root, HEIGHT);
    const x = (ms) => LEFT + ((ms - begin) / (end - begin)) * (right - LEFT);
    const y = (watts) => BOTTOM - ((watts - low) / (high - low)) * (BOTTOM - TOP);
    const parts = [];
    for (let watts = low; watts <= high + step / 2; watts += step) {
      parts.push(svg("line", { x1: LEFT, x2: right, y1: y(watts), y2: y(watts), class: Math.abs(watts) < step / 2 ? "zero" : "axis" }));
      parts.push(svg("text", { x: LEFT - 6, y: y(watts) + 4, "text-anchor": "end" }, label(watts, step)));
    }
    const hours = Math.round((end - begin) / HOUR_MS); // 23 and 25 in the nights of the clock
    for (let hour = 0; hour <= hours; hour += 6) {
      parts.push(svg("text", { x: x(begin + hour * HOUR_MS), y: 192, "text-anchor": "middle" }, String(hour)));
    }
    entries.forEach((entry, n) => {
      const from = Math.max(entry.end_ms - entry.length_s * 1000, begin);
      const width = Math.max(x(entry.end_ms) - x(from) - 1, 1);
      const marks = entry.status_names.filter((name) => name !== "dst");
      const title = `${entry.time.slice(11, 16)}: ${fixed(entry.a_plus_mwh / 1e6, 3)} kWh, `
        + `out ${fixed(entry.a_minus_mwh / 1e6, 3)} kWh ${marks.join(", ")}`;
      means[n].forEach((watts, way) => {
        if (!watts) return;
        const top = way ? y(0) : y(watts);
        const height = way ? y(-watts) - y(0) : y(0) - y(watts);
        const kind = `bar${way ? " export" : ""}${marks.length ? " marked" : ""}`;
        parts.push(svg("rect", { x: x(from), y: top, width, height: Math.max(height, 0.5), class: kind },
          svg("title", {}, title)));
      });
    });
    root.replaceChildren(...parts);
    root.setAttribute("aria-label", `Mean power of ${entries.length} intervals of ${day}; hours from midnight`);
  }

  table({ entries }) {
    const head = ["ends", "A+ / kWh", "A− / kWh", "R+ / kvarh", "R− / kvarh", "marks"];
    const rows = entries.map((entry) => el("tr", {}, el("td", {}, entry.time.slice(11, 16)),
      ...["a_plus_mwh", "a_minus_mwh", "r_plus_mvarh", "r_minus_mvarh"].map((name) => el("td", {}, fixed(entry[name] / 1e6, 3))),
      el("td", {}, entry.status_names.join(" "))));
    byId("profile-table").replaceChildren(el("tbody", {},
      el("tr", {}, ...head.map((text) => el("th", { scope: "col" }, text))), ...rows));
  }
}
