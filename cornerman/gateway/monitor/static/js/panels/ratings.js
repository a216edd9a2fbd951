// Agent versions and personas on one scale, each with its interval.
import { empty, h, swap } from "../dom.js";
import { between, count, NONE, points } from "../format.js";
import { onAnswer, redraw, typed } from "../store.js";
import { name } from "../text.js";
import { whisker } from "./cards.js";

const FIRST = 12;
let whole = false;

/** The axis that holds all ratings and intervals, with a little air. */
function axis(ratings) {
  const ends = ratings.flatMap((r) => [r.rating, r.low, r.high]).filter((v) => v !== null);
  const low = Math.min(...ends), high = Math.max(...ends);
  const air = (high - low) * 0.04 || 1;
  return [low - air, high + air];
}

const whole_ = (value) => points(Math.round(value));

function row(rating, ends) {
  const kind = rating.kind === "agent" ? "agent" : "persona";
  return h("tr", { class: kind },
    h("th", { scope: "row" }, name(rating.name), " ", h("small", {}, kind)),
    h("td", { class: "plot" }, whisker({ value: rating.rating, low: rating.low, high: rating.high }, ends, kind)),
    h("td", { class: "num" }, whole_(rating.rating)),
    h("td", { class: "num wide-only" }, between(rating, whole_) || NONE),
    h("td", { class: "num" }, count(rating.battles)));
}

function drawRatings(ratings, error) {
  const box = document.getElementById("ladder");
  box.removeAttribute("aria-busy");
  if (error) return swap(box, h("p", { class: "empty" }, error.message));
  if (!ratings.length) return swap(box, empty("No ratings yet. They are computed after each batch with scored battles:", typed("cornerman battle")));
  const ranked = [...ratings].sort((a, b) => b.rating - a.rating);
  // An agent's own versions are what one came for, wherever they stand.
  const shown = whole ? ranked : ranked.filter((r, place) => place < FIRST || r.kind === "agent");
  const ends = axis(shown);
  swap(box,
    h("table", { class: "ratings" },
      h("caption", { class: "hidden" }, "Ratings with 95% intervals"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Name"), h("td", { class: "plot" }),
        h("th", { scope: "col", class: "num" }, "Rating"), h("th", { scope: "col", class: "num wide-only" }, "Interval"),
        h("th", { scope: "col", class: "num" }, "Battles"))),
      h("tbody", {}, shown.map((rating) => row(rating, ends))),
      h("tfoot", { "aria-hidden": "true" }, h("tr", {}, h("td"), h("td", { class: "plot" },
        h("span", { class: "ends" }, ends.map((end) => h("i", {}, whole_(end))))), h("td"), h("td", { class: "wide-only" }), h("td")))),
    ranked.length > shown.length || whole
      ? h("button", { class: "more", type: "button", "data-key": "ratings-more", "aria-expanded": String(whole), onclick: () => { whole = !whole; redraw("ratings"); } },
        whole ? "Show fewer" : `Show all ${ranked.length}`)
      : null);
}

onAnswer("ratings", drawRatings);
