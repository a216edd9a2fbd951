// The four figures that one looks at first.
import { empty, h, s, swap } from "../dom.js";
import { between, count, NONE, percent, plural, points, usd } from "../format.js";
import { typed } from "../store.js";

const card = (id, title, ...children) =>
  h("article", { class: "card", "aria-labelledby": `card-${id}` }, h("h2", { id: `card-${id}` }, title), children);

const figure = (text, unit) =>
  h("p", { class: "figure" }, h("strong", {}, text), unit && h("span", { class: "unit" }, unit));

/** A point with its interval on an axis; said in words beside it, so hidden from readers. */
export function whisker(estimate, [low, high], kind) {
  const at = (value) => `${percent(value, low, high)}%`;
  const ends = [estimate.low ?? estimate.value, estimate.high ?? estimate.value].map(at);
  return s("svg", { class: `interval ${kind}`, width: "100%", height: 16, "aria-hidden": "true", focusable: "false" },
    s("line", { class: "axis", x1: 0, x2: "100%", y1: 8, y2: 8 }),
    s("line", { class: "span", x1: ends[0], x2: ends[1], y1: 8, y2: 8 }),
    ends.map((end) => s("line", { class: "end", x1: end, x2: end, y1: 4, y2: 12 })),
    s("circle", { cx: at(estimate.value), cy: 8, r: 4.5 }));
}

/** How much of a budget is spent, and how much more is reserved by calls in flight. */
function meter(title, budget, hint) {
  if (!budget) return h("p", { class: "say" }, `${title}: nothing spent`);
  const { spent, reserved, limit } = budget;
  const share = (value) => (limit ? `${percent(value, 0, limit)}%` : "0%");
  const tight = limit && spent + reserved > 0.9 * limit;
  return h("div", { class: "budget" },
    h("p", {}, h("span", {}, title), h("span", { class: "num" }, h("strong", {}, usd(spent)), limit === null ? "" : ` of ${usd(limit)}`)),
    s("svg", { class: `meter${tight ? " tight" : ""}`, width: "100%", height: 6, "aria-hidden": "true", focusable: "false" },
      s("rect", { class: "whole", width: "100%", height: 6, rx: 3 }),
      s("rect", { class: "held", width: share(spent + reserved), height: 6, rx: 3 }),
      s("rect", { class: "part", width: share(spent), height: 6, rx: 3 })),
    limit === null && h("p", { class: "say" }, "no limit set (", h("code", {}, hint), ")"));
}

function battles(summary) {
  const running = summary.runs.filter((run) => run.kind === "battle" && run.status === "running").length;
  const starting = summary.runs.filter((run) => run.kind === "battle" && run.status === "pending").length;
  return card("battles", "Battles", figure(count(summary.battles)),
    summary.battles
      ? h("p", { class: "say" }, running ? `${plural(running, "batch").replace("batchs", "batches")} running now` : starting ? "a batch is starting" : "none running now")
      : starting ? h("p", { class: "say" }, "a batch is starting") : empty("None held yet. Type", typed("cornerman battle")));
}

function average(summary) {
  const mean = summary.average;
  if (!mean) return card("average", "Average score", figure(NONE), empty("No battle was scored yet. Type", typed("cornerman battle")));
  return card("average", "Average score", figure(points(mean.value), " of 100"),
    whisker(mean, [0, 100], "new"),
    h("p", { class: "say" }, [
      mean.low !== null && `95% interval ${between(mean, points)}`,
      mean.n !== null && plural(mean.n, "scored battle"),
    ].filter(Boolean).join(", ")));
}

function breakthroughs(summary) {
  const found = summary.breakthroughs;
  const states = ["pending_review", "reviewed", "promoted", "rejected"];
  const total = states.reduce((sum, name) => sum + (found[name] ?? 0), 0);
  const waiting = found.pending_review ?? 0;
  return card("breakthroughs", "Breakthroughs", figure(count(total)),
    total === 0
      ? h("p", { class: "say" }, "found by ", h("code", {}, "cornerman scout"))
      : h("p", { class: "say" }, waiting
        ? [h("a", { href: "#breakthroughs", "data-key": "to-review" }, `${count(waiting)} to review`), `, ${count(found.promoted ?? 0)} promoted`]
        : `all reviewed, ${count(found.promoted ?? 0)} promoted`));
}

export function drawCards(summary) {
  const box = document.getElementById("cards");
  if (!summary) return;
  box.removeAttribute("aria-busy");
  swap(box, battles(summary), average(summary),
    card("cost", "Cost", meter("Batch", summary.batch, "BATCH_BUDGET_USD"), meter("Today", summary.day, "DAILY_BUDGET_USD")),
    breakthroughs(summary));
}
