// How a battle is marked and summed up, in the feed and over its transcript.
import { h } from "../dom.js";
import { words } from "../format.js";

const endings = {
  walk_away: "the other side walked away", goal_reached: "goal reached", turn_limit: "turn limit",
  stall: "stalled", repetition: "went in circles",
};

/** What is said about a battle in half a line. */
export function ending(battle) {
  if (battle.status === "failed") return "failed";
  if (battle.price !== null) return `deal at ${battle.price.toLocaleString("en")}`;
  if (battle.outcome === "no_deal") return `no deal, ${endings[battle.endedBy] ?? words(battle.endedBy)}`;
  return battle.outcome ? words(battle.outcome) : endings[battle.endedBy] ?? words(battle.endedBy);
}

export const isLive = (battle) => battle.status === "running" || battle.status === "pending";

export function pills(battle) {
  return [
    battle.simulated && h("span", { class: "sim" }, "simulated"),
    battle.spoiled && h("span", { class: "pill", title: "The persona left its role; the battle counts for no rating" }, "spoiled"),
    (battle.status === "failed" || battle.status === "cancelled" || battle.status === "unscored")
      && h("span", { class: `pill ${battle.status === "failed" ? "bad" : ""}` }, battle.status),
  ];
}
