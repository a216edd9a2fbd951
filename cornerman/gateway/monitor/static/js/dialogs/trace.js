// The model calls of one case or battle, as steps that open.
import { get } from "../api.js";
import { h, swap } from "../dom.js";
import { count, usd } from "../format.js";
import { block, name } from "../text.js";
import { openDialog } from "./ask.js";

const said = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));

const LAST = 6;

function message(one, index) {
  const role = one?.role ?? one?.type ?? "";
  const { role: _role, ...rest } = typeof one === "object" && one !== null ? one : { content: one };
  const content = rest.content ?? rest;
  return h("div", { class: "turn" },
    h("p", { class: "speaker" }, name(role)), block(said(content), `Message ${index + 1}`));
}

function called(tool) {
  return h("div", { class: "turn" },
    h("p", { class: "speaker" }, "calls ", name(tool.name)), block(said(tool.arguments), "Arguments"));
}

function step(call) {
  const shown = call.messages.slice(-LAST), left = call.messages.length - shown.length;
  const usage = call.usage ?? {};
  const prompts = call.prompts?.length ? `, with ${call.prompts.join(", ")}` : "";
  return h("details", { "data-key": `call-${call.seq}` },
    h("summary", {}, `${call.seq}. ${call.role} · `, name(call.model), " ",
      h("small", { class: "num" }, `${count(usage.input_tokens)} + ${count(usage.output_tokens)} tokens, `,
        usd(call.cost_usd), `, ${count(Math.round(call.latency_ms))} ms${prompts}`)),
    call.note && h("p", { class: "say" }, call.note),
    left > 0 && h("p", { class: "say" }, `${count(left)} earlier messages`),
    shown.map(message),
    call.tool_calls.map(called),
    call.response !== null && !call.tool_calls.length && h("div", { class: "turn" },
      h("p", { class: "speaker" }, "answers"), block(said(call.response?.content ?? call.response), "Answer")),
    call.error && h("div", { class: "field error" }, h("p", { class: "label" }, "Error"), block(call.error, "Error")));
}

/** Open the calls at an address of the gateway over the page. */
export function openTrace(address, heading) {
  const body = h("div", { class: "body", tabindex: "0", role: "region", "aria-label": "Model calls", "aria-busy": "true" });
  const dialog = h("dialog", { class: "transcript", "aria-labelledby": "trace-title" },
    h("div", { class: "top-line" }, h("h2", { id: "trace-title" }, name(heading)), h("div", { class: "marks" }),
      h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
    body);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  openDialog(dialog);
  get(address)
    .then((calls) => swap(body, calls.map(step)))
    .catch((error) => swap(body, h("p", { class: "empty" }, error.message)))
    .finally(() => body.removeAttribute("aria-busy"));
}
