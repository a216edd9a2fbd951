// Elements from code. Data becomes text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** An HTML element: `h("p", {class: "say"}, "text", child)`; `on…` attributes are listeners. */
export const h = (name, attributes, ...children) =>
  fill(document.createElement(name), attributes, children);

/** An SVG element. Widths are attributes in percent, since the policy allows no inline style. */
export const s = (name, attributes, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

export const byId = (id) => document.getElementById(id);

/** Replace what a panel holds; focus and opened details survive by their `data-key`. */
export function swap(container, ...children) {
  const focused = container.contains(document.activeElement) && document.activeElement.dataset.key;
  const open = new Set(
    [...container.querySelectorAll("details[open][data-key]")].map((d) => d.dataset.key),
  );
  const scrolled = [...container.querySelectorAll("[data-key].scroll")].map((e) => [e.dataset.key, e.scrollTop, e.scrollLeft]);
  const fresh = document.createDocumentFragment();
  append(fresh, children);
  container.replaceChildren(fresh);
  const keyed = (key) => container.querySelector(`[data-key="${CSS.escape(key)}"]`);
  for (const key of open) {
    const details = keyed(key);
    if (details) details.open = true;
  }
  for (const [key, top, left] of scrolled) {
    const element = keyed(key);
    if (element) Object.assign(element, { scrollTop: top, scrollLeft: left });
  }
  if (focused) keyed(focused)?.focus({ preventScroll: true });
}

/** What a panel says while it has nothing to show, and what to type. */
export const empty = (text, command) =>
  h("p", { class: "empty" }, text, command && [" ", h("code", {}, command)]);

let announceTimer;
/** Tell screen readers; only what matters, so that a busy batch does not talk without end. */
export function announce(text) {
  const region = byId("announcer");
  clearTimeout(announceTimer);
  announceTimer = setTimeout(() => { region.textContent = text; }, 100);
}
