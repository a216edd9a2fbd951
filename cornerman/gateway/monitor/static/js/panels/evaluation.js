// The newest evaluation: its columns, whether the bar is met, and the cases on which they differ.
import { path } from "../api.js";
import { openTrace } from "../dialogs/trace.js";
import { empty, h, swap } from "../dom.js";
import { between, count, NONE, plural, score, usd, words } from "../format.js";
import { onAnswer } from "../store.js";
import { glance, name } from "../text.js";
import { whisker } from "./cards.js";

const signed = (value) => (value > 0 ? "+" : "") + score(value);

function head(run, evaluation) {
  const on = run.status === "running" || run.status === "pending";
  const tone = run.status === "completed" ? "good" : run.status === "failed" ? "bad" : "";
  const verdict = { passed: ["good", "passed"], below: ["bad", "not passed"], unjudged: ["mid", "not judged"] }[evaluation.verdict];
  return [
    h("p", { class: "run-line" }, h("span", { class: "mono id" }, run.id),
      on ? h("span", { class: "live" }, run.status) : h("span", { class: `pill ${tone}` }, run.status),
      verdict && h("span", { class: `pill ${verdict[0]}` }, verdict[1]),
      run.simulated && h("span", { class: "sim" }, "simulated")),
    h("p", { class: "say" }, `${count(evaluation.done)} of ${count(evaluation.total)} case runs, `, usd(run.cost), " spent",
      run.stoppedBy && `, stopped by ${words(run.stoppedBy)}`),
    evaluation.failures.map((text) => h("p", { class: "say warn", dir: "auto" }, glance(text, 300))),
    run.error && h("p", { class: "say warn", dir: "auto" }, glance(run.error, 300)),
  ];
}

function row(column) {
  return h("tr", {},
    h("th", { scope: "row" }, name(column.name), !column.judged && [" ", h("span", { class: "pill mid" }, "to compare with")]),
    h("td", { class: "plot" }, column.score && whisker(column.score, [0, 1], "agent")),
    h("td", { class: "num" }, h("strong", {}, score(column.score?.value ?? null))),
    h("td", { class: "num wide-only" }, between(column.score, score) || NONE),
    h("td", { class: "wide-only" }, column.change
      ? [h("strong", {}, signed(column.change.value)), between(column.change, signed) && ` (${between(column.change, signed)})`, " against ", name(column.against)]
      : NONE),
    h("td", { class: "num" }, usd(column.cost)));
}

const traceOf = (run, kase, column) =>
  `${path`/api/runs/${run.id}/cases/${kase.id}/trace`}?${new URLSearchParams({ candidate: column })}`;

function differing(run, kase, names) {
  return h("tr", {},
    h("th", { scope: "row" }, name(kase.id), " ", h("small", { dir: "auto" }, glance(kase.said, 120))),
    names.map((column) => {
      const answer = kase.answers.find((one) => one.column === column.id);
      return h("td", { class: "num" }, answer
        ? h("button", { type: "button", class: "who", "data-key": `differs-${kase.id}-${column.id}`, title: glance(answer.output, 200) || "Model calls",
          onclick: () => openTrace(traceOf(run, kase, column.id), `Case ${kase.id}`) },
        answer.score === null ? words(answer.status) : score(answer.score, 2))
        : NONE);
    }));
}

function table(label, heads, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label, "data-key": label },
    h("table", {}, h("caption", { class: "hidden" }, label),
      h("thead", {}, h("tr", {}, heads.map(([text, kind]) => h("th", { scope: "col", class: kind }, text)))),
      h("tbody", {}, rows)));
}

function drawEvaluation(evaluation, error) {
  const box = document.getElementById("evaluated");
  box.removeAttribute("aria-busy");
  if (error) return swap(box, h("p", { class: "empty" }, error.message));
  if (!evaluation.run) return swap(box, empty("No evaluation yet.", "cornerman evaluate SPEC"));
  const { run, columns, cases } = evaluation;
  swap(box, head(run, evaluation),
    table("Columns", [["Prompts and model"], ["0 to 1", "plot"], ["Score", "num"], ["95% interval", "num wide-only"], ["Change, paired", "wide-only"], ["Cost", "num"]], columns.map(row)),
    cases.length > 0 && [
      h("h3", {}, columns.length > 1 ? "Cases on which they differ" : "Cases below a full score"),
      evaluation.differ > cases.length && h("p", { class: "say" }, `${count(cases.length)} of ${plural(evaluation.differ, "case")}; more of them: `, h("code", {}, `cornerman report ${run.id}`)),
      table("Cases on which they differ", [["Case"], ...columns.map((column) => [name(column.name), "num"])], cases.map((kase) => differing(run, kase, columns))),
    ]);
}

onAnswer("evaluation", drawEvaluation);
