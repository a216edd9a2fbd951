// The training run that is on now, or was last: how far it is and what its cases say.
import { path } from "../api.js";
import { emptyStart } from "../dialogs/start.js";
import { openTrace } from "../dialogs/trace.js";
import { h, s, swap } from "../dom.js";
import { ago, count, NONE, percent, score, usd, words } from "../format.js";
import * as shapes from "../shapes.js";
import { onAnswer, redraw, state } from "../store.js";
import { glance, name } from "../text.js";

const LATEST = 6;
const tags = { scored: "", timed_out: "failed", errored: "broke" };

function bar(done, total) {
  return s("svg", { class: "meter", width: "100%", height: 6, "aria-hidden": "true", focusable: "false" },
    s("rect", { class: "whole", width: "100%", height: 6, rx: 3 }),
    s("rect", { class: "part", width: `${percent(done, 0, total)}%`, height: 6, rx: 3 }));
}

function head(run, epochs) {
  const last = epochs.at(-1);
  const done = last?.epoch ?? run.epoch ?? 0;
  const on = run.status === "running" || run.status === "pending";
  const tone = run.status === "completed" ? "good" : run.status === "failed" ? "bad" : "";
  return [
    h("p", { class: "run-line" }, h("span", { class: "mono id" }, run.id),
      on ? h("span", { class: "live" }, run.status) : h("span", { class: `pill ${tone}` }, run.status),
      run.simulated && h("span", { class: "sim" }, "simulated")),
    h("p", { class: "run-line" },
      h("span", {}, run.epochs ? `${count(done)} of ${count(run.epochs)} epochs` : `${count(done)} epochs`),
      h("span", { class: "num" }, "validation ", h("strong", {}, score(last?.validation ?? null)))),
    run.epochs ? bar(done, run.epochs) : null,
    h("p", { class: "say" }, usd(run.cost ?? last?.cost ?? null), " spent",
      run.stoppedBy && `, stopped by ${words(run.stoppedBy)}`,
      run.startedAt && [", started ", h("time", { datetime: run.startedAt, "data-ago": "" }, ago(run.startedAt))]),
    run.error && h("p", { class: "say warn", dir: "auto" }, glance(run.error, 300)),
  ];
}

const traceOf = (runId, result) =>
  `${path`/api/runs/${runId}/cases/${result.id}/trace`}?${new URLSearchParams({ candidate: result.candidate || "c0", repeat: result.repeat })}`;

function caseLine(runId, result) {
  const said = result.error || result.inputs && Object.values(result.inputs).map(String).join(" ");
  return h("li", {},
    h("button", { type: "button", class: "who", "data-key": `case-${result.epoch}-${result.id}`, title: "Model calls",
      onclick: () => openTrace(traceOf(runId, result), `Case ${result.id}`) }, name(result.id)),
    h("span", { class: "how", dir: "auto" }, glance(said)),
    h("span", { class: "num result" }, result.status === "scored" || !result.status
      ? h("strong", {}, result.score === null ? NONE : score(result.score, 2))
      : h("span", { class: `tag ${tags[result.status] ?? ""}` }, words(result.status))));
}

function drawTraining(value, error) {
  const box = document.getElementById("training");
  box.removeAttribute("aria-busy");
  if (error) return swap(box, h("p", { class: "empty" }, error.message));
  if (!value.run) return swap(box, emptyStart("No training run yet.", "training", "training", "cornerman train SPEC"));
  const live = new Set(state.cases.map((result) => `${result.epoch}/${result.id}`));
  const before = value.latest.filter((result) => !live.has(`${result.epoch}/${result.id}`));
  const latest = [...state.cases, ...before].slice(0, LATEST);
  swap(box, head(value.run, value.epochs),
    latest.length > 0 && [h("h3", {}, "Latest cases"), h("ol", { class: "feed cases" }, latest.map((result) => caseLine(value.run.id, result)))]);
}

/** Take in one case's result; drawing waits for the next frame, since they come in bursts. */
let waiting = false;
export function trainingEvent(payload) {
  state.cases.unshift(shapes.progress(payload));
  state.cases.length = Math.min(state.cases.length, LATEST);
  if (waiting) return;
  waiting = true;
  setTimeout(() => { waiting = false; redraw("training"); }, 250);
}

onAnswer("training", drawTraining);
