// Voltages and currents of the phases: as vectors, and in numbers.

import { el, fixed, setText, svg } from "./dom.js";

const RADIUS = 92;
// Where nothing was sampled nobody has measured an angle: the net's own order.
const USUAL = { "1P2W": [0], "3P4W": [0, 24000, 12000], "3P3W": [0, 6000] };
const NAMES = { "1P2W": ["L1"], "3P4W": ["L1", "L2", "L3"], "3P3W": ["L1-L2", "L1-L3", "L2-L3"] };
const turn = (centi) => (centi / 18000) * Math.PI;
const point = (length, angle) => [length * Math.cos(angle), length * Math.sin(angle)];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
const plus = (a, b) => [a[0] + b[0], a[1] + b[1]];

// [x, y] in volts and amperes of each place; the first voltage lies at 0 degrees.
export function vectors(q, system) {
  const angles = (q.voltage_angle_cdeg ?? USUAL[system]).map(turn);
  const places = system === "3P3W" ? [0, 2] : NAMES[system].map((_, k) => k);
  const volts = [], amperes = [];
  places.forEach((place, n) => {
    // A current lags its voltage by the angle of its power.
    const lag = Math.atan2(q.reactive_power_mvar[place], q.active_power_mw[place]);
    const flows = q.active_power_mw[place] || q.reactive_power_mvar[place];
    volts[place] = point(q.voltage_mv[place] / 1000, angles[n]);
    amperes[place] = point(flows ? q.current_ua[place] / 1e6 : 0, angles[n] - lag);
  });
  if (system === "3P3W") {
    // Elements measure U12 and U32: U13 = U12 - U32, U23 = -U32, I2 = -(I1 + I3).
    volts[1] = minus(volts[0], volts[2]);
    volts[2] = minus([0, 0], volts[2]);
    amperes[1] = minus([0, 0], plus(amperes[0], amperes[2]));
  }
  return { volts, amperes };
}

export function drawPhasors(root, note, q, system) {
  const { volts, amperes } = vectors(q, system);
  const longest = Math.max(1, ...volts.map((v) => Math.hypot(...v)));
  const most = Math.max(0.05, ...amperes.map((a) => Math.hypot(...a)));
  const parts = [
    svg("circle", { r: RADIUS, class: "ring" }), svg("circle", { r: RADIUS / 2, class: "ring" }),
    svg("line", { x1: -RADIUS, x2: RADIUS, y1: 0, y2: 0, class: "axis" }),
    svg("line", { y1: -RADIUS, y2: RADIUS, x1: 0, x2: 0, class: "axis" }),
  ];
  volts.forEach((v, k) => {
    parts.push(...arrow(v, RADIUS / longest, `vector k${k}`, k));
    const far = 1.13 * RADIUS / Math.max(Math.hypot(...v), 1e-9);
    parts.push(svg("text", { x: v[0] * far, y: 4 - v[1] * far, "text-anchor": "middle", class: `k${k}` },
      NAMES[system][k].replaceAll("L", "").replace("-", "")));
  });
  amperes.forEach((a, k) => parts.push(...arrow(a, (0.8 * RADIUS) / most, `vector current k${k}`, k)));
  root.replaceChildren(...parts);
  root.setAttribute("aria-label", "Phasors: " + volts.map((v, k) =>
    `${NAMES[system][k]} ${fixed(Math.hypot(...v), 1)} V at ${degrees(v)}`).join(", "));
  setText(note, (q.voltage_angle_cdeg ? "Angles as measured." : "Angles are not measured here: shown in the usual order.")
    + ` Solid: voltages; dashed: currents, the longest ${fixed(most, 2)} A.`);
}

const degrees = (v) => `${fixed((Math.atan2(v[1], v[0]) * 180) / Math.PI, 0)}°`;

function arrow([x, y], size, kind, k) {
  const length = Math.hypot(x, y) * size;
  if (length < 1.5) return [];
  const [tx, ty] = [x * size, -y * size];
  const [ux, uy] = [tx / length, ty / length];
  const head = Math.min(9, length / 2);
  const points = [[tx, ty], [tx - head * ux - head * 0.45 * uy, ty - head * uy + head * 0.45 * ux],
    [tx - head * ux + head * 0.45 * uy, ty - head * uy - head * 0.45 * ux]];
  return [
    svg("line", { x1: 0, y1: 0, x2: tx - head * ux * 0.8, y2: ty - head * uy * 0.8, class: kind }),
    svg("polygon", { points: points.map((at) => at.map((n) => n.toFixed(1)).join(",")).join(" "), class: `tip k${k}` }),
  ];
}

export function fillPhases(table, q, system) {
  const names = NAMES[system];
  const rows = [el("tr", {}, ...["", "U / V", "", "I / A", "P / W", "Q / var", "PF"].map((t) => el("th", { scope: "col" }, t)))];
  names.forEach((name, k) => {
    const element = !(system === "3P3W" && k === 1); // its powers are those of the other two
    const lost = q.status_names.includes(`phase L${k + 1} lost`);
    rows.push(el("tr", { class: lost ? "lost" : null }, el("td", {}, name), td(q.voltage_mv[k] / 1000, 1),
      el("td", {}, `L${k + 1}`), td(q.current_ua[k] / 1e6, 3),
      ...(element ? [td(q.active_power_mw[k] / 1000, 1), td(q.reactive_power_mvar[k] / 1000, 1),
        td(q.power_factor_permille[k] / 1000, 3)] : [el("td"), el("td"), el("td")])));
  });
  table.replaceChildren(el("tbody", {}, ...rows));
}

const td = (value, digits) => el("td", {}, fixed(value, digits));
