// Persona difficulty as a table whose cells are coloured; the figures say the same as the colours.
import { empty, h, swap } from "../dom.js";
import { count, points } from "../format.js";
import { FIRST_WORKFLOW, onAnswer, state, typed } from "../store.js";
import { name } from "../text.js";

const MOST_METRICS = 6;
const SHADES = 10;

function cell(score) {
  const known = typeof score === "number" && Number.isFinite(score);
  const shade = known ? `h${Math.round((Math.min(Math.max(score, 0), 100) / 100) * SHADES)}` : "none";
  // Of a handful of battles, tenths say nothing.
  return h("td", { class: `cell ${shade}` }, points(known ? Math.round(score) : score));
}

const order = (a, b) => (a.mean === null) - (b.mean === null) || a.mean - b.mean || a.name.localeCompare(b.name);

function noPersonas() {
  const own = h("code", {}, typed("cornerman personas import FILE"));
  return state.workflow === FIRST_WORKFLOW
    ? h("p", { class: "empty" }, "No personas yet. ", h("code", {}, "cornerman battle"), " brings in the built-in ones, ", own, " your own")
    : h("p", { class: "empty" }, "No active personas found. Bring some in with ", own);
}

function drawPersonas(personas, error) {
  const box = document.getElementById("heatmap");
  box.removeAttribute("aria-busy");
  if (error) return swap(box, h("p", { class: "empty" }, error.message));
  if (!personas.length) return swap(box, noPersonas());
  const met = personas.filter((p) => p.battles > 0);
  const unmet = personas.length - met.length;
  const metrics = [...new Set(met.flatMap((p) => Object.keys(p.subScores)))].slice(0, MOST_METRICS);
  const rest = unmet > 0 && h("p", { class: "aside" }, `${count(unmet)} of ${count(personas.length)} personas were not met yet.`);
  if (!met.length) return swap(box, empty("No persona was met yet. Type", typed("cornerman battle")), rest);
  swap(box,
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Persona difficulty", "data-key": "heat" },
      h("table", { class: "heat" },
        h("caption", { class: "hidden" }, "Mean scores by persona"),
        h("thead", {}, h("tr", {},
          ["Persona", "Score"].map((title) => h("th", { scope: "col" }, title)),
          metrics.map((metric) => h("th", { scope: "col" }, name(metric.replaceAll("_", " ")))),
          ["Rated hard", "Battles", "Walk-aways"].map((title) => h("th", { scope: "col", class: "num" }, title)))),
        h("tbody", {}, [...met].sort(order).map((p) => h("tr", {},
          h("th", { scope: "row" }, name(p.name), !p.active && h("small", {}, " not active")),
          cell(p.mean), metrics.map((metric) => cell(p.subScores[metric])),
          h("td", { class: "num" }, p.declared === null ? "–" : `${p.declared} of 5`),
          h("td", { class: "num" }, count(p.battles)), h("td", { class: "num" }, count(p.walkAways))))))),
    rest);
}

onAnswer("personas", drawPersonas);
