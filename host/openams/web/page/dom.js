// Small helpers: elements without any markup in strings, and numbers as people read them.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const el = (name, attributes, ...children) =>
  fill(document.createElement(name), attributes, children);

export const svg = (name, attributes, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const fixed = (value, digits) => {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text;
};

// "2017-09-15T04:51:22.5+02:00" is local time already: it is shown as it came.
export const clock = (iso) => iso.slice(11, 19);
export const stamp = (iso) => `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
