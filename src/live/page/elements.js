/** Building of elements. Text goes in as text nodes only: keys and notes come from strangers. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export const byId = (id) => document.getElementById(id);

/**
 * A new element. Functions among the attributes become listeners, `true` an empty attribute; `false` and null are left
 * out.
 * @param {string} name
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElement}
 */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/**
 * The same for a drawing.
 * @param {string} name
 * @param {Record<string, unknown>} [attributes]
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function drawing(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(made, attributes, children) {
  for (const [attribute, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(attribute, value);
    else if (value === true) made.setAttribute(attribute, "");
    else if (value !== false && value != null) made.setAttribute(attribute, String(value));
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/**
 * Sets the text only where it changed, so that screen readers and selections are left alone.
 * @param {Element} place
 * @param {string} text
 */
export function setText(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** Shapes of 12 by 12, so that no state is told by its color alone. */
const SHAPES = {
  critical: "M6 1 11.5 11H.5Z",
  warning: "M6 .5 11.5 6 6 11.5 .5 6Z",
  fine: "M6 1a5 5 0 1 0 .01 0Z",
  busy: "M6 1a5 5 0 1 0 .01 0ZM6 3.2a2.8 2.8 0 1 1-.01 0Z",
  none: "",
};

/**
 * @param {"critical"|"warning"|"fine"|"busy"|"none"} shape
 * @returns {SVGElement}
 */
export function mark(shape) {
  return drawing(
    "svg",
    { class: `mark ${shape}`, viewBox: "0 0 12 12", "aria-hidden": "true" },
    drawing("path", { d: SHAPES[shape], "fill-rule": "evenodd" }),
  );
}
