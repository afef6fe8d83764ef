// The power of the last minutes as a curve.

import { fixed, svg } from "./dom.js";

const MOST = 900;
const LEFT = 56, TOP = 12, BOTTOM = 160, HEIGHT = 190;

// A unit of the drawing is a pixel, so that its text can be read on a phone too; its right end.
export function sized(root, height) {
  const width = Math.max(Math.round(root.clientWidth), 260);
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return width - 8;
}

export class Trace {
  constructor(root) {
    this.root = root;
    this.points = [];
  }

  begin(points) {
    this.points = points.slice(-MOST);
    this.draw();
  }

  add(point) {
    const last = this.points.at(-1);
    if (last && point[0] < last[0]) this.points = []; // the clock was set back
    this.points.push(point);
    if (this.points.length > MOST) this.points.shift();
    this.draw();
  }

  draw() {
    if (this.points.length === 0) return;
    const right = sized(this.root, HEIGHT);
    const powers = this.points.map((point) => point[1] / 1000);
    const [low, high, step] = scale(Math.min(0, ...powers), Math.max(0, ...powers));
    const first = this.points[0][0];
    const span = Math.max(this.points.at(-1)[0] - first, 1);
    const x = (ms) => LEFT + ((ms - first) / span) * (right - LEFT);
    const y = (watts) => BOTTOM - ((watts - low) / (high - low)) * (BOTTOM - TOP);
    const parts = [];
    for (let watts = low; watts <= high + step / 2; watts += step) {
      const kind = Math.abs(watts) < step / 2 ? "zero" : "axis";
      parts.push(svg("line", { x1: LEFT, x2: right, y1: y(watts), y2: y(watts), class: kind }));
      parts.push(svg("text", { x: LEFT - 6, y: y(watts) + 4, "text-anchor": "end" }, label(watts, step)));
    }
    // Steps: a power holds until the next is told.
    let path = "";
    this.points.forEach((point, n) => {
      path += n ? `H${x(point[0]).toFixed(1)}V${y(powers[n]).toFixed(1)}`
        : `M${x(point[0]).toFixed(1)} ${y(powers[0]).toFixed(1)}`;
    });
    parts.push(svg("path", { d: `${path}V${y(0)}H${LEFT}Z`, class: "area" }));
    parts.push(svg("path", { d: path, class: "curve" }));
    parts.push(svg("text", { x: LEFT, y: 182 }, ago(span)));
    parts.push(svg("text", { x: right, y: 182, "text-anchor": "end" }, "now"));
    this.root.replaceChildren(...parts);
    this.root.setAttribute("aria-label",
      `Power since ${ago(span)}: ${fixed(Math.min(...powers), 0)} to ${fixed(Math.max(...powers), 0)} W`);
  }
}

// Round limits around two values, and the step between their lines.
export function scale(low, high) {
  const span = Math.max(high - low, 1);
  const rough = span / 4;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= rough);
  return [Math.floor(low / step) * step, Math.max(Math.ceil(high / step), Math.floor(low / step) + 1) * step, step];
}

export const label = (watts, step) =>
  step >= 100 ? `${fixed(watts / 1000, step >= 1000 ? 0 : 1)} kW` : `${fixed(watts, step < 1 ? 1 : 0)} W`;

function ago(spanMs) {
  const s = Math.round(spanMs / 1000);
  if (s < 120) return `${s} s ago`;
  return s < 7200 ? `${Math.round(s / 60)} min ago` : `${fixed(s / 3600, 1)} h ago`;
}
