// One battle: what was said, with the referee's evidence beside the turn that it cites.
import { get, path } from "../api.js";
import { h, swap } from "../dom.js";
import { points, usd, words } from "../format.js";
import { ending, isLive, pills } from "../panels/marks.js";
import * as shapes from "../shapes.js";
import { block, name, visible } from "../text.js";
import { openDialog } from "./ask.js";
import { openTrace } from "./trace.js";

let open = null;

const fact = (title, value) => value && h("div", {}, h("dt", {}, title), h("dd", {}, value));

function evidence(sub) {
  return h("div", { class: `evidence${sub.ok === false ? " doubt" : ""}` },
    h("p", {}, h("strong", {}, name(words(sub.name))), " ", h("span", { class: "num" }, points(sub.score))),
    sub.evidence && h("blockquote", { dir: "auto" }, visible(sub.evidence.slice(0, 4000))),
    sub.ok === false && sub.evidence ? h("p", { class: "warn" }, "Not found in the turn it cites") : null,
    sub.ok === true && h("p", { class: "found" }, "✓ stands in this turn"));
}

function tool(call) {
  const given = typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments);
  return h("li", { class: call.failed ? "failed" : "" },
    h("p", { class: "call" }, name(call.name, { class: "mono" }), call.failed && h("span", { class: "warn" }, " failed")),
    h("div", { class: "given" }, block(given, "Arguments")),
    call.result && h("div", { class: "back" }, block(call.result, "Result")));
}

const check = (found) => fact(["Check ", name(found.name)],
  [points(found.score === null ? null : 100 * found.score), !found.counts && ", beside the score", found.reason && [": ", name(found.reason)]]);

function turn(told, cited) {
  return h("li", { class: told.speaker === "agent" ? "agent" : "persona" },
    h("div", { class: "turn" },
      h("p", { class: "speaker" }, told.speaker, " ", h("small", {}, `turn ${told.index}`)),
      told.tools.length > 0 && h("ol", { class: "tools", "aria-label": `Tools called in turn ${told.index}` }, told.tools.map(tool)),
      block(told.text, `Turn ${told.index}`),
      told.truncated && h("p", { class: "cut" }, "Longer than what is stored; the rest was not kept.")),
    cited.length > 0 && h("div", { class: "cites", role: "group", "aria-label": `Evidence in turn ${told.index}` }, cited.map(evidence)));
}

function content(battle) {
  const present = new Set(battle.turns.map((told) => told.index));
  const loose = battle.subScores.filter((sub) => !present.has(sub.turn));
  const running = isLive(battle);
  return [
    h("dl", { class: "facts" },
      fact("Battle", h("span", { class: "mono" }, battle.id)), fact("Ended", !running && ending(battle)),
      fact("Agent", battle.version), fact("Cost", usd(battle.cost)),
      fact("Calls", h("button", { type: "button", class: "link",
        onclick: () => openTrace(path`/api/battles/${battle.id}/trace`, `Battle ${battle.id}`) }, "Model calls")),
      fact("In character", battle.fidelity !== null && `${Math.round(battle.fidelity * 100)}%`),
      battle.checks.map(check)),
    battle.error && h("div", { class: "field error" }, h("p", { class: "label" }, "Error"), block(battle.error, "Error")),
    battle.rationale && h("div", { class: "field" }, h("p", { class: "label" }, "The referee"), block(battle.rationale, "The referee")),
    battle.turns.length
      ? h("ol", { class: "turns" }, battle.turns.map((told) => turn(told, battle.subScores.filter((sub) => sub.turn === told.index))))
      : h("p", { class: "empty" }, running ? "Nothing was said yet; it appears here as it is." : "No turn was spoken."),
    loose.length > 0 && h("div", { class: "uncited" }, h("p", { class: "label" }, "Scores that cite no turn here"), loose.map(evidence)),
  ];
}

async function fill() {
  const shown = open;
  if (!shown) return;
  try {
    const raw = await get(path`/api/battles/${shown.id}`);
    if (open !== shown || shown.said === JSON.stringify(raw)) return;
    shown.said = JSON.stringify(raw);
    const battle = shapes.battle(raw.battle ?? raw);
    const top = shown.body.scrollTop;
    swap(shown.title, name(battle.persona));
    swap(shown.side, pills(battle), battle.score !== null && h("span", { class: "result num" }, h("strong", {}, points(battle.score)), " of 100"));
    swap(shown.body, content(battle));
    shown.body.scrollTop = top;
  } catch (error) {
    swap(shown.body, h("p", { class: "empty" }, error.message));
  }
}

/** Open a battle's transcript over the page. */
export function openTranscript(id) {
  const title = h("h2", { id: "transcript-title" }, "…"), side = h("div", { class: "marks" });
  const body = h("div", { class: "body", tabindex: "0", role: "region", "aria-label": "Transcript", "aria-busy": "true" });
  const dialog = h("dialog", { class: "transcript", "aria-labelledby": "transcript-title" },
    h("div", { class: "top-line" }, title, side, h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
    body);
  dialog.addEventListener("close", () => { open = null; });
  // A click beside the dialog is a click on its own edge.
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  open = { id, title, side, body, said: "" };
  openDialog(dialog);
  fill().finally(() => body.removeAttribute("aria-busy"));
}

/** A battle changed; when it is the open one, show it. */
let timer;
export function transcriptEvent(id) {
  if (open?.id !== id) return;
  clearTimeout(timer);
  timer = setTimeout(fill, 150);
}
