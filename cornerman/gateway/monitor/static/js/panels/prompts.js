// Two checkpoints' prompts, compared by the gateway word by word.
import { get, path } from "../api.js";
import { empty, h, swap } from "../dom.js";
import { score, when } from "../format.js";
import { onAnswer, trainedWorkflow } from "../store.js";
import { name, visible } from "../text.js";

const chosen = { before: "", after: "" };

const title = (c) => [`v${c.version}`, score(c.validation), c.best && "best", when(c.at)].filter(Boolean).join(" · ");

function select(side, label, checkpoints) {
  const id = `prompt-${side}`;
  const choose = (event) => {
    chosen[side] = event.target.value;
    compare();
  };
  return h("div", {}, h("label", { for: id }, label),
    h("select", { id, "data-key": id, onchange: choose },
      checkpoints.map((c) => h("option", { value: c.id, selected: c.id === chosen[side] }, title(c)))));
}

const part = ({ op, text }) =>
  op === "insert" ? h("ins", {}, visible(text)) : op === "delete" ? h("del", {}, visible(text)) : visible(text);

function prompt(found) {
  return h("article", { class: "prompt" },
    h("h3", {}, name(found.name), !found.changed && h("span", { class: "pill" }, "unchanged")),
    h("div", { class: "text diff scroll", dir: "auto", tabindex: "0", role: "region", "aria-label": `Changes in prompt ${found.name}`, "data-key": `diff-${found.name}` },
      found.parts.map(part)));
}

async function compare() {
  const box = document.getElementById("difference");
  const asked = { ...chosen };
  try {
    const found = await get(path`/api/monitor/diff/${trainedWorkflow()}?before=${asked.before}&after=${asked.after}`);
    if (asked.before !== chosen.before || asked.after !== chosen.after) return;
    swap(box, found.prompts.map(prompt));
  } catch (error) {
    swap(box, h("p", { class: "empty" }, error.message));
  }
}

function drawVersions(checkpoints, error) {
  const box = document.getElementById("versions"), difference = document.getElementById("difference");
  box.removeAttribute("aria-busy");
  if (error || !checkpoints.length) {
    swap(difference);
    return swap(box, error ? h("p", { class: "empty" }, error.message) : empty("No checkpoint yet. They are stored by", "cornerman train SPEC"));
  }
  const there = (id) => checkpoints.some((c) => c.id === id);
  // At first: from where the prompts began to the best there are.
  if (!there(chosen.before)) chosen.before = checkpoints.at(-1).id;
  if (!there(chosen.after)) chosen.after = (checkpoints.find((c) => c.best) ?? checkpoints[0]).id;
  swap(box, h("div", { class: "choices" }, select("before", "From", checkpoints), select("after", "To", checkpoints)),
    checkpoints.length === 1 && h("p", { class: "aside" }, "There is one checkpoint so far; ", h("code", {}, "cornerman train SPEC"), " stores more."));
  compare();
}

onAnswer("checkpoints", drawVersions);
