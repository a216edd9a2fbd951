// The monitor: asks once for everything, then follows the stream.
import { drawKillSwitch, startKillSwitch } from "./dialogs/killswitch.js";
import { startStarts } from "./dialogs/start.js";
import { transcriptEvent } from "./dialogs/transcript.js";
import { announce, byId, h } from "./dom.js";
import { ago, points, score } from "./format.js";
import { drawCards } from "./panels/cards.js";
import { feedEvent } from "./panels/feed.js";
import { trainingEvent } from "./panels/training.js";
import "./panels/breakthroughs.js";
import "./panels/evaluation.js";
import "./panels/personas.js";
import "./panels/prompts.js";
import "./panels/ratings.js";
import "./panels/scores.js";
import { choose, FIRST_WORKFLOW, load, onAnswer, refresh, RESOURCES, state, trainedWorkflow } from "./store.js";
import { follow } from "./stream.js";
import { visible } from "./text.js";

// What moves without an event of its own: the day's budget, a switch turned elsewhere, a trial.
const POLL_MS = 15_000;

const changed = {
  training_progress: ["training"],
  training_checkpoint: ["checkpoints"],
  training_epoch_complete: ["training", "summary"],
  training_result: ["training", "summary", "checkpoints"],
  evaluation_progress: ["evaluation"],
  evaluation_result: ["evaluation", "summary"],
  battle_started: ["battles", "summary"],
  battle_turn: ["summary"],
  battle_scored: ["battles", "summary", "personas"],
  battle_failed: ["battles", "summary"],
  batch_complete: ["battles", "summary", "personas", "ratings", "breakthroughs"],
  budget_stopped: ["battles", "training", "summary"],
  breakthrough: ["breakthroughs", "summary"],
  kill_switch: ["summary"],
};

// A run that was accepted, begins or ends is told before it has an event of its own.
const moved = { battle: ["battles"], train: ["training"], evaluate: ["evaluation"], scout: ["breakthroughs"] };

function take({ event, payload = {}, workflow_id: workflow }) {
  if (event === "run_status") return refresh("summary", ...(moved[payload.kind] ?? []));
  const training = event.startsWith("training_");
  // A run that begins decides whose training is shown, so any training asks for the summary.
  if (workflow !== (training ? trainedWorkflow() : state.workflow)) return training && refresh("summary");
  if (event === "training_progress") trainingEvent(payload);
  if (event.startsWith("battle_")) {
    feedEvent(event, payload);
    transcriptEvent(String(payload.battle_id ?? ""));
  }
  if (event === "batch_complete") announce(`The batch is complete, average score ${points(payload.averageScore ?? payload.average_score)}.`);
  if (event === "training_epoch_complete") announce(`Epoch ${payload.epoch} is complete, validation score ${score(payload.validation_score)}.`);
  if (event === "evaluation_result") announce(`The evaluation is ${payload.status}.`);
  refresh(...(changed[event] ?? []));
}

function drawConnection(status, again) {
  const mark = byId("connection");
  mark.className = `connection ${status === "live" ? "on" : "off"}`;
  mark.textContent = status === "live" ? "Live" : again ? "Connection lost, trying again…" : "Connecting…";
  // The stream tells what happens from now on, so what happened before it opened is asked for.
  if (status === "live") refresh(...RESOURCES);
}

function drawWorkflows(summary) {
  const select = byId("workflow");
  const wanted = [...new Set([...summary.workflows, state.workflow].filter(Boolean))];
  const shown = [...select.options].map((option) => option.value);
  if (wanted.join("\n") !== shown.join("\n")) {
    select.replaceChildren(...wanted.map((id) => h("option", { value: id }, id)));
  }
  select.value = state.workflow;
}

async function show(workflow) {
  choose(workflow);
  await load("summary");
  refresh(...RESOURCES.filter((resource) => resource !== "summary"));
}

function startWorkflows() {
  byId("workflow").addEventListener("change", (event) => {
    const address = new URL(location.href);
    address.searchParams.set("workflow", event.target.value);
    history.replaceState(null, "", address);
    show(event.target.value);
  });
}

/** Mark the section that is being read in the navigation. */
function startNavigation() {
  const links = new Map([...document.querySelectorAll("nav ol a")].map((a) => [document.querySelector(a.hash), a]));
  const spy = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (!entry.isIntersecting) return;
    links.forEach((a) => { a.classList.remove("here"); a.removeAttribute("aria-current"); });
    links.get(entry.target).classList.add("here");
    links.get(entry.target).setAttribute("aria-current", "true");
  }), { rootMargin: "-10% 0px -80% 0px" });
  links.forEach((_, section) => section && spy.observe(section));
}

function startClock() {
  setInterval(() => {
    for (const time of document.querySelectorAll("time[data-ago]")) time.textContent = ago(time.dateTime);
  }, 5_000);
  setInterval(() => { if (!document.hidden) refresh("summary", "breakthroughs"); }, POLL_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(...RESOURCES); });
}

let trained = "";
/** Name the workflow whose training is shown when it is not the chosen one. */
function drawTrained() {
  const workflow = trainedWorkflow();
  for (const heading of document.querySelectorAll("[data-trained]")) {
    heading.textContent = heading.dataset.trained + (workflow === state.workflow ? "" : ` of ${visible(workflow)}`);
  }
  if (trained && trained !== workflow) {
    state.cases.length = 0;
    refresh("training", "checkpoints");
  }
  trained = workflow;
}

onAnswer("summary", (summary, error) => {
  if (error) return announce(error.message);
  state.workflow ||= summary.workflow || summary.workflows[0] || FIRST_WORKFLOW;
  drawCards(summary);
  drawTrained();
  drawWorkflows(summary);
  drawKillSwitch(summary.killSwitch);
  byId("simulated").hidden = !summary.simulated;
});

startKillSwitch();
startStarts();
startWorkflows();
startNavigation();
startClock();
await show(new URLSearchParams(location.search).get("workflow") || document.documentElement.dataset.workflow || "");
follow("/api/monitor/stream", state.summary?.after ?? null, take, drawConnection);
