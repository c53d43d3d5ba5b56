// Elements, made from text alone: what comes from Kafka is never taken for HTML.

/**
 * An element with attributes and children. Attributes that begin with "on" are listeners; those that are false are left out.
 * @param {string} name
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | null)} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The element with an id. @param {string} id */
export function byId(id) {
  return document.getElementById(id);
}

/** Puts a text into an element, if it is another one: a screen reader repeats what is written again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Calls something once, some time after the last call. */
export function debounced(delayMs, call) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), delayMs);
  };
}
