// Buttons that start work: a battle batch, a scan for breakthroughs, the example training.
import { post } from "../api.js";
import { announce, byId, h, swap } from "../dom.js";
import { refresh, state } from "../store.js";
import { visible } from "../text.js";
import { ask } from "./ask.js";

const STOPPED = "Paid work is stopped; let it go on first.";

const money = () => (state.summary?.simulated
  ? "The rehearsal endpoint answers, so it costs nothing."
  : "It asks the configured models and costs money, within the budgets that are set.");

const starts = {
  batch: {
    label: "Start a battle batch",
    title: "Start a battle batch?",
    explain: () => `The agent of ${visible(state.workflow)} meets its personas, as many as TRAINING_BATCH_SIZE says, and a referee scores each battle. ${money()}`,
    body: () => ({ what: "batch", workflow: state.workflow || undefined }),
    said: "The batch was accepted.",
  },
  scout: {
    label: "Scan for breakthroughs",
    title: "Scan for breakthroughs?",
    explain: () => `A scout reads the finished battles that it has not read yet. ${money()}`,
    body: () => ({ what: "scout" }),
    said: "The scan was accepted.",
  },
  training: {
    label: "Train the example",
    title: "Train the example?",
    explain: () => `Three epochs over messages of customers that are to be labelled, as workflow triage. ${money()}`,
    body: () => ({ what: "training" }),
    said: "The training was accepted.",
  },
};

async function begin(what) {
  const { label, title, explain, body, said } = starts[what];
  const done = await ask({
    title, explain: explain(), action: label, withReason: false, keep: "Not now",
    send: () => post("/api/monitor/start", body()),
  });
  if (!done) return;
  announce(said);
  refresh("summary", "battles", "training");
}

/** A button that asks before it starts; off while paid work is stopped. */
export function startButton(what, place) {
  const stopped = state.summary?.killSwitch?.active === true;
  return h("button", {
    type: "button", "data-start": what, "data-key": `start-${what}-${place}`, "aria-haspopup": "dialog",
    disabled: stopped, title: stopped ? STOPPED : null, onclick: () => begin(what),
  }, starts[what].label);
}

/** What a panel says while it is empty: a button, and the command for those who type. */
export const emptyStart = (text, what, place, command) =>
  h("div", { class: "empty" }, h("p", {}, text),
    h("p", { class: "actions" }, startButton(what, place), h("span", {}, "or type ", h("code", {}, command))));

/** Follow the kill-switch with every button that is on the page. */
export function drawStarts(stopped) {
  for (const button of document.querySelectorAll("[data-start]")) {
    button.disabled = stopped;
    button.title = stopped ? STOPPED : "";
  }
}

export function startStarts() {
  swap(byId("starts"), ...Object.keys(starts).map((what) => startButton(what, "top")));
}
