// The live list of battles; each opens its transcript.
import { emptyStart } from "../dialogs/start.js";
import { openTranscript } from "../dialogs/transcript.js";
import { h, swap } from "../dom.js";
import { ago, plural, points } from "../format.js";
import { onAnswer, redraw, state, typed } from "../store.js";
import * as shapes from "../shapes.js";
import { glance, name } from "../text.js";
import { ending, isLive, pills } from "./marks.js";

const FIRST = 6;
let whole = false;

function standing(battle, turn) {
  if (!isLive(battle)) return battle.score === null ? "–" : h("strong", {}, points(battle.score));
  return h("span", { class: "live" }, turn ? plural(turn.index + 1, "turn") : "starting");
}

const isWaiting = (battle) => isLive(battle) && battle.status === "pending";

/** A row stays the same element while its content changes, so that no click falls between two. */
const rows = new Map();

function row(battle) {
  if (!rows.has(battle.id)) {
    const open = () => openTranscript(battle.id);
    const button = h("button", { class: "row", type: "button", "data-key": `battle-${battle.id}`, "aria-haspopup": "dialog", onclick: open });
    rows.set(battle.id, { item: h("li", {}, button), button });
  }
  const { item, button } = rows.get(battle.id);
  button.replaceChildren(...content(battle));
  return item;
}

function content(battle) {
  const turn = state.turns.get(battle.id), live = isLive(battle);
  const told = battle.error ? glance(battle.error) : live ? turn && glance(turn.text) : ending(battle);
  const at = !live && battle.at;
  return [
    h("span", { class: "line" }, h("span", { class: "who" }, name(battle.persona)), h("span", { class: "result num" }, standing(battle, turn))),
    h("span", { class: "line" }, h("span", { class: "how", dir: "auto" }, told),
      h("span", { class: "marks" }, pills(battle), at && h("time", { datetime: at, "data-ago": "" }, ago(at)))),
  ];
}

/** Batches that were accepted and have no battle yet: their process is starting. */
function accepted(battles) {
  const begun = new Set(battles.map((battle) => battle.batch));
  return (state.summary?.runs ?? []).filter((run) => run.kind === "battle" && run.workflow === state.workflow
    && (run.status === "pending" || run.status === "running") && !begun.has(run.id));
}

const starting = (run) => h("li", { class: "accepted" }, h("span", { class: "line" },
  h("span", { class: "who mono" }, name(run.id)), h("span", { class: "live" }, "accepted, starting")));

const coming = h("ul", { class: "feed coming", "aria-label": "Accepted batches" });
const queue = h("p", { class: "aside queue" });
const list = h("ol", { class: "feed" });
const more = h("button", { class: "more", type: "button", onclick: () => { whole = !whole; redraw("battles"); } });

function drawFeed(value, error) {
  const box = document.getElementById("feed");
  box.removeAttribute("aria-busy");
  if (error) return swap(box, h("p", { class: "empty" }, error.message));
  // Those that talk come first; those that have not begun have nothing to tell yet.
  const waiting = value.battles.filter(isWaiting);
  const battles = value.battles.filter((battle) => !isWaiting(battle)).sort((a, b) => Number(isLive(b)) - Number(isLive(a)));
  const soon = accepted(value.battles);
  if (!value.battles.length && !soon.length) {
    return swap(box, emptyStart("No battle yet. Let the agent meet its personas:", "batch", "feed", typed("cornerman battle")));
  }
  coming.replaceChildren(...soon.map(starting));
  coming.hidden = !soon.length;
  const items = (whole ? battles : battles.slice(0, FIRST)).map(row);
  if (items.length !== list.children.length || items.some((item, place) => item !== list.children[place])) swap(list, items);
  more.hidden = battles.length <= FIRST;
  more.textContent = whole ? "Show fewer" : `Show the newest ${battles.length}`;
  more.setAttribute("aria-expanded", String(whole));
  queue.textContent = waiting.length ? `${plural(waiting.length, "battle")} waiting to begin` : "";
  if (list.parentElement !== box) swap(box, coming, queue, list, more);
  const held = new Set(battles.map((battle) => battle.id));
  for (const id of rows.keys()) if (!held.has(id)) rows.delete(id);
}

/** Take in an event before the next answer does. */
export function feedEvent(event, payload) {
  const id = String(payload.battle_id ?? "");
  if (!id || !state.battles) return;
  const list = state.battles.battles;
  let known = list.find((battle) => battle.id === id);
  if (!known && (event === "battle_started" || event === "battle_turn")) {
    known = begun(id, payload);
    list.unshift(known);
  }
  if (!known) return;
  if (event === "battle_turn") state.turns.set(id, shapes.turn(payload.turn ?? payload));
  if (event === "battle_scored" || event === "battle_failed") {
    const { score, endedBy, outcome, price, error, at } = shapes.battle({ ...payload, ...payload.scores });
    Object.assign(known, { score, endedBy, outcome, price, error, at, status: payload.status ?? event.slice("battle_".length) });
  } else {
    known.status = "running";
  }
  redraw("battles");
}

function begun(id, payload) {
  const persona = state.personas?.find((one) => one.id === payload.persona_id);
  const raw = { ...payload, id, status: "running", persona_name: persona?.name, simulated: state.summary?.simulated };
  return { ...shapes.battle(raw), fresh: true };
}

onAnswer("battles", drawFeed);
// Whether a battle goes on depends on its batch.
onAnswer("summary", () => redraw("battles"));
