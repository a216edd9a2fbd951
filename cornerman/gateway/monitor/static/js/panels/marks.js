// How a battle is marked and summed up, in the feed and over its transcript.
import { h } from "../dom.js";
import { words } from "../format.js";
import { state } from "../store.js";

const endings = {
  walk_away: "the other side walked away", goal_reached: "goal reached", turn_limit: "turn limit",
  stall: "stalled", repetition: "went in circles",
};

/** What is said about a battle in half a line. */
export function ending(battle) {
  if (isOpen(battle)) return "interrupted";
  if (battle.status === "failed") return "failed";
  if (battle.price !== null) return `deal at ${battle.price.toLocaleString("en")}`;
  if (battle.outcome === "no_deal") return `no deal, ${endings[battle.endedBy] ?? words(battle.endedBy)}`;
  return battle.outcome ? words(battle.outcome) : endings[battle.endedBy] ?? words(battle.endedBy);
}

const isOpen = (thing) => thing.status === "running" || thing.status === "pending";

/** Whether a battle goes on: its own word is not enough, since its process may have died. */
export function isLive(battle) {
  if (!isOpen(battle)) return false;
  const batch = state.summary?.runs.find((run) => run.id === battle.batch);
  return batch ? isOpen(batch) : state.turns.has(battle.id) || battle.fresh === true;
}

export function pills(battle) {
  return [
    battle.simulated && h("span", { class: "sim" }, "simulated"),
    battle.spoiled && h("span", { class: "pill", title: "The persona left its role; the battle counts for no rating" }, "spoiled"),
    (battle.status === "failed" || battle.status === "cancelled" || battle.status === "unscored")
      && h("span", { class: `pill ${battle.status === "failed" ? "bad" : ""}` }, battle.status),
  ];
}
