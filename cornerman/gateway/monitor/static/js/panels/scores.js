// The learning curve of the training run, and the battles' average batch by batch.
import { dropChart, showChart } from "../charts.js";
import { empty, swap } from "../dom.js";
import { between, NONE, plural, points, score, ticks, usd, when } from "../format.js";
import { onAnswer, typed } from "../store.js";

const MOST_BATCHES = 200;
const verdict = (accepted) => (accepted === null ? "undecided" : accepted ? "accepted" : "rejected");

function blank(box, ...children) {
  dropChart(box);
  swap(box, ...children);
}

function drawLearning(value, error) {
  const box = document.getElementById("learning");
  box.removeAttribute("aria-busy");
  const epochs = (value?.epochs ?? []).filter((e) => e.score !== null || e.validation !== null);
  document.getElementById("learning-lead").textContent = epochs.length
    ? "The best prompts so far on the validation cases with their 95% interval, and on the training cases. A hollow point: that epoch's rewrite was rejected."
    : "";
  if (error) return blank(box, error.message);
  if (!epochs.length) return blank(box, empty("No epoch was scored yet. To train the agent, type", "cornerman train SPEC"));
  const known = epochs.filter((e) => e.validation !== null);
  const label = `Learning curve over ${plural(epochs.length, "epoch")}`
    + (known.length ? `: validation score ${score(known[0].validation)} first, ${score(known.at(-1).validation)} last.` : ".");
  showChart(box, {
    id: "learning",
    label,
    legend: [["validation", "Validation"], ["band", "95% interval"], ["train", "Training"]],
    data: {
      kind: "learning",
      epochs: epochs.map((e) => e.epoch),
      train: epochs.map((e) => e.score),
      validation: epochs.map((e) => e.validation),
      low: epochs.map((e) => e.low),
      high: epochs.map((e) => e.high),
      accepted: epochs.map((e) => e.accepted),
    },
    columns: ["Epoch", "Training", "Validation", "95% interval", "Spent", "Rewrite"],
    rows: epochs.map((e) => [
      String(e.epoch), score(e.score), score(e.validation), between(e, score) || NONE, usd(e.cost),
      e.reason ? `${verdict(e.accepted)}: ${e.reason}` : verdict(e.accepted),
    ]),
  });
}

function drawTrend(value, error) {
  const box = document.getElementById("trend");
  box.removeAttribute("aria-busy");
  if (error) return blank(box, error.message);
  const batches = value.batches.filter((batch) => batch.average).slice(-MOST_BATCHES);
  if (!batches.length) return blank(box, empty("No batch was scored yet. Type", typed("cornerman battle")));
  const first = batches[0].average.value, last = batches.at(-1).average.value;
  showChart(box, {
    id: "trend",
    label: `Average battle score over ${batches.length === 1 ? "1 batch" : `${batches.length} batches`}: ${points(first)} first, ${points(last)} last.`,
    legend: [["average", "Average"], ["band", "95% interval"]],
    data: {
      kind: "trend",
      value: batches.map((b) => b.average.value),
      low: batches.map((b) => b.average.low),
      high: batches.map((b) => b.average.high),
      labels: batches.map((b) => when(b.at)),
      ticks: ticks(batches.map((b) => b.at)),
    },
    columns: ["Batch", "Average", "95% interval", "Battles"],
    rows: [...batches].reverse().map((b) => [when(b.at), points(b.average.value), between(b.average, points) || NONE, String(b.average.n ?? NONE)]),
  });
}

onAnswer("training", drawLearning);
onAnswer("battles", drawTrend);
