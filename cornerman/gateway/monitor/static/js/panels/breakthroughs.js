// Breakthroughs and what may be decided about each.
import { path, post } from "../api.js";
import { ask } from "../dialogs/ask.js";
import { emptyStart } from "../dialogs/start.js";
import { openTranscript } from "../dialogs/transcript.js";
import { announce, h, swap } from "../dom.js";
import { ago, points, words } from "../format.js";
import { onAnswer, redraw, refresh, state } from "../store.js";
import { glance, name, visible } from "../text.js";

// As cornerman.domain.battles.breakthroughs allows them; the gateway checks them again.
const next = {
  pending_review: [["reviewed", "Mark reviewed"], ["rejected", "Reject"]],
  reviewed: [["promoted", "Promote"], ["rejected", "Reject"]],
  rejected: [["pending_review", "Look at it again"]],
  promoted: [],
};
const tones = { promoted: "good", rejected: "bad" };
const order = ["pending_review", "reviewed", "promoted", "rejected"];

/** Trials that this page began, until their outcome is known. */
const trials = new Map();

function trial(found) {
  const begun = trials.get(found.id);
  if (begun && found.state === "reviewed" && found.trial === begun.before) {
    return h("p", { class: "aside" }, h("span", { class: "live" }, "on trial"), " against other personas, run ", h("span", { class: "mono" }, begun.run));
  }
  return found.trial && h("p", { class: "aside", dir: "auto" }, "Last trial: ", glance(found.trial, 400));
}

async function decide(found, to, label) {
  const explain = {
    promoted: "The tactic is tried against other personas. When it holds up there, it goes into the prompts of a new checkpoint.",
    rejected: "It stays on this list as rejected and can be looked at again.",
  }[to];
  const send = async (reason) => {
    const answer = await post(path`/api/breakthroughs/${found.id}/state`, { state: to, reason });
    if (answer.run_id) trials.set(found.id, { run: answer.run_id, before: found.trial });
  };
  const done = explain
    ? await ask({ title: `${label}: ${glance(found.title, 80)}`, explain, action: label, tone: to === "rejected" ? "danger" : "", needReason: false, send })
    : await send("").then(() => true);
  if (!done) return;
  announce(`${label}: ${glance(found.title, 80)}. ${trials.has(found.id) ? "Its trial has begun." : "Done."}`);
  redraw("breakthroughs");
  refresh("breakthroughs", "summary", "checkpoints");
}

const personaName = (id) => state.personas?.find((persona) => persona.id === id)?.name ?? id;

function refuse(button, error) {
  button.closest(".actions").append(h("p", { class: "refused", role: "alert" }, error.message));
}

function item(found) {
  const actions = next[found.state] ?? [];
  return h("article", { class: `breakthrough ${found.state}` },
    h("h3", {}, name(found.title), " ",
      h("span", { class: `pill ${tones[found.state] ?? ""}` }, words(found.state)),
      found.simulated && [" ", h("span", { class: "sim" }, "simulated")]),
    h("p", { dir: "auto" }, visible(found.tactic.slice(0, 4000))),
    found.snippet && h("blockquote", { dir: "auto" }, visible(found.snippet.slice(0, 4000))),
    h("p", { class: "aside" }, "Against ", name(personaName(found.persona)), `, score ${points(found.score)}`,
      found.confirmed !== null && (found.confirmed ? ", confirmed by re-runs" : ", not confirmed by re-runs"),
      found.seen > 1 && `, seen in ${found.seen} battles`,
      found.at && [", ", h("time", { datetime: found.at, "data-ago": "" }, ago(found.at))]),
    trial(found),
    found.review && h("p", { class: "aside", dir: "auto" }, "Reviewed: ", glance(found.review, 400)),
    h("div", { class: "actions" },
      actions.map(([to, label]) => h("button", {
        type: "button", class: to === "promoted" ? "main" : "", "data-key": `${found.id}-${to}`,
        "aria-label": `${label}: ${glance(found.title, 80)}`,
        onclick: (event) => decide(found, to, label).catch((error) => refuse(event.target, error)),
      }, label)),
      found.battle && h("button", { type: "button", class: "quiet", "data-key": `${found.id}-read`, "aria-haspopup": "dialog", onclick: () => openTranscript(found.battle) }, "Read the battle")));
}

function drawBreakthroughs(found, error) {
  const box = document.getElementById("review");
  box.removeAttribute("aria-busy");
  if (error) return swap(box, h("p", { class: "empty" }, error.message));
  if (!found.length) return swap(box, emptyStart("None found yet. Look through finished battles:", "scout", "review", "cornerman scout"));
  swap(box, [...found].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state)).map(item));
}

onAnswer("breakthroughs", drawBreakthroughs);
// Their names come with the personas.
onAnswer("personas", () => redraw("breakthroughs"));
