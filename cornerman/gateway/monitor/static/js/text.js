// Text from models and datasets, made fit to look at: cut, visible, harmless in any direction.
import { h } from "./dom.js";
import { count } from "./format.js";

export const MAX_CHARS = 20_000;
const SCROLL_CHARS = 4_000;
const OVERRIDE = /[\u202a-\u202e\u2066-\u2069]/g;
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b-\u001f]/g;
const BROKEN = /[\u0080-\u009f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Show control characters and direction overrides instead of obeying them. */
export const visible = (text) =>
  String(text ?? "")
    .replace(/\r\n|[\u2028\u2029]/g, "\n")
    .replace(CONTROL, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/\u007f/g, "\u2421")
    .replace(BROKEN, "\ufffd")
    .replace(OVERRIDE, (c) => `\u2039U+${c.charCodeAt(0).toString(16).toUpperCase()}\u203a`);

/** A name or other short text, kept apart from the direction of what stands around it. */
export const name = (text, attributes) => h("bdi", attributes, visible(String(text ?? "").slice(0, 300)));

/** One line to know a text by. */
export const glance = (text, length = 160) =>
  visible(String(text ?? "").slice(0, length * 3)).split(/\s+/).join(" ").trim().slice(0, length);

/** A text as a block; a long one scrolls on its own and shows its beginning until asked for all. */
export function block(text, label) {
  const whole = String(text ?? "");
  const long = whole.length > SCROLL_CHARS && { class: "text long", tabindex: "0", role: "region", "aria-label": label };
  const body = h("div", { class: "text", dir: "auto", ...long }, visible(whole.slice(0, MAX_CHARS)));
  if (whole.length <= MAX_CHARS) return [body];
  const showAll = () => {
    body.textContent = visible(whole);
    body.focus({ preventScroll: true });
    note.remove();
  };
  const note = h("p", { class: "cut" }, `Cut here: ${count(MAX_CHARS)} of ${count(whole.length)} characters shown. `,
    h("button", { type: "button", onclick: showAll }, "Show all"));
  return [body, note];
}
