// What comes one after the other: frames of the HAN port, decoded, and events. The newest first.

import { byId, clock, el, stamp } from "./dom.js";

const FRAMES = 40, EVENTS = 200;

function put(list, item, most) {
  list.prepend(item);
  while (list.children.length > most) list.lastElementChild.remove();
}

export function addFrame(frame) {
  const items = frame.readings.map((reading) => {
    const values = Object.entries(reading.values).map(([name, value]) => {
      const [text, unit] = named(name);
      return el("div", {}, el("dt", {}, text), el("dd", {}, `${value}${unit ? ` ${unit}` : ""}`));
    });
    return el("details", {}, el("summary", {}, el("time", {}, clock(frame.time)),
      `${reading.format} list ${reading.list}: ${short(reading.values)}`),
    el("dl", {}, ...head(reading), ...values), el("p", { class: "hex" }, spaced(frame.hex)));
  });
  if (!items.length) {
    items.push(el("details", {}, el("summary", {}, el("time", {}, clock(frame.time)),
      el("span", { class: "bad" }, frame.error ?? "no whole frame yet")), el("p", { class: "hex" }, spaced(frame.hex))));
  }
  put(byId("frames"), el("li", {}, ...items), FRAMES);
}

const head = (reading) => [["list version", reading.list_version], ["meter", reading.meter_id],
  ["type", reading.meter_type], ["time", reading.time && reading.time.replace("T", " ")]]
  .filter(([, value]) => value)
  .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));

const UNITS = { w: "W", var: "var", v: "V", a: "A", wh: "Wh", varh: "varh" };

// "active_power_import_w": its words, and its unit.
function named(name) {
  const words = name.split("_");
  const unit = UNITS[words.at(-1)];
  if (unit) words.pop();
  return [words.join(" ").replace(/\bl([123])\b/g, "L$1"), unit];
}

function short(values) {
  const out = [];
  if ("active_power_import_w" in values) out.push(`P+ ${values.active_power_import_w} W`);
  if (values.active_power_export_w) out.push(`P− ${values.active_power_export_w} W`);
  const volts = [1, 2, 3].map((k) => values[`voltage_l${k}_v`]).filter((v) => v !== undefined);
  if (volts.length) out.push(`U ${volts.join("/")} V`);
  if ("a_plus_wh" in values) out.push(`A+ ${values.a_plus_wh} Wh`);
  return out.join(", ");
}

const spaced = (hex) => hex.replace(/(..)/g, "$1 ").trim();

export function addEvents(events) {
  for (const event of events) {
    const said = Object.entries(event.means).map(([name, value]) => `${name}=${value}`).join(" ");
    put(byId("events"), el("li", {}, el("time", {}, stamp(event.time)), event.name, said ? ` ${said}` : null,
      el("span", { class: "log" }, `  ${event.log}`)), EVENTS);
  }
}

export function clearLists() {
  byId("frames").replaceChildren();
  byId("events").replaceChildren();
}
