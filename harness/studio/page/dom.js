// Make elements. Texts only ever become text nodes, so nothing that others wrote can act.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

/** An HTML element. */
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

export const byId = (id) => document.getElementById(id);

/** Put these in place of all that an element holds. */
export function fill(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null));
}

/** Seconds as the reports write them. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 0.01) return `${(value * 1000).toFixed(1)} ms`;
  if (size < 0.9995) return `${(value * 1000).toFixed(0)} ms`;
  if (size < 9.995) return `${value.toFixed(2)} s`;
  if (size < 119.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(size);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}
