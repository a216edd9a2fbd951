// The live list of battles; each opens its transcript.
import { openTranscript } from "../dialogs/transcript.js";
import { empty, h, swap } from "../dom.js";
import { ago, points } from "../format.js";
import { onAnswer, redraw, state } from "../store.js";
import * as shapes from "../shapes.js";
import { glance, name } from "../text.js";
import { ending, isLive, pills } from "./marks.js";

const FIRST = 8;
let whole = false;

function line(battle) {
  const turn = state.turns.get(battle.id);
  const told = battle.error ? glance(battle.error)
    : isLive(battle) ? (turn ? glance(turn.text) : "about to begin") : ending(battle);
  return h("li", { class: isLive(battle) ? "on" : "" },
    h("button", { class: "row", type: "button", "data-key": `battle-${battle.id}`, "aria-haspopup": "dialog", onclick: () => openTranscript(battle.id) },
      h("span", { class: "line" },
        h("span", { class: "who" }, name(battle.persona)),
        h("span", { class: "result num" }, isLive(battle)
          ? h("span", { class: "live" }, turn ? `turn ${turn.index + 1}` : "starting")
          : battle.score === null ? "–" : h("strong", {}, points(battle.score)))),
      h("span", { class: "line" },
        h("span", { class: "how", dir: "auto" }, told),
        h("span", { class: "marks" }, pills(battle), !isLive(battle) && battle.at && h("time", { datetime: battle.at, "data-ago": "" }, ago(battle.at))))));
}

function drawFeed(value, error) {
  const box = document.getElementById("feed");
  box.removeAttribute("aria-busy");
  if (error) return swap(box, h("p", { class: "empty" }, error.message));
  const battles = [...value.battles].sort((a, b) => Number(isLive(b)) - Number(isLive(a)));
  if (!battles.length) return swap(box, empty("No battle yet. To let the agent meet its personas, type", "cornerman battle"));
  const shown = whole ? battles : battles.slice(0, FIRST);
  swap(box, h("ol", { class: "feed" }, shown.map(line)),
    battles.length > FIRST && h("button", { class: "more", type: "button", "data-key": "feed-more", "aria-expanded": String(whole), onclick: () => { whole = !whole; redraw("battles"); } },
      whole ? "Show fewer" : `Show all ${battles.length}`));
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
