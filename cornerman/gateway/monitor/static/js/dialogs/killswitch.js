// The kill-switch: a mark on top while paid work is stopped, and the way to turn it.
import { put } from "../api.js";
import { announce, h, swap } from "../dom.js";
import { ago } from "../format.js";
import { refresh } from "../store.js";
import { name, visible } from "../text.js";
import { ask } from "./ask.js";
import { drawStarts } from "./start.js";

let known = null;

const questions = {
  stop: {
    title: "Stop paid work?",
    explain: "From now on no process makes another paid call. Runs end as stopped and keep what they have; a cron call is refused until the switch is turned back.",
    action: "Stop now",
    tone: "danger",
  },
  resume: {
    title: "Let paid work go on?",
    explain: "New runs and batches may spend money again. Those that were stopped stay ended until they are resumed.",
    action: "Let work go on",
  },
};

async function turn(active) {
  const question = active ? questions.stop : questions.resume;
  const done = await ask({ ...question, send: async (reason) => drawKillSwitch(shaped(await put("/api/kill-switch", { active, reason }))) });
  if (done) refresh("summary", "battles", "training");
}

const shaped = (raw) => ({ active: raw?.active === true, reason: raw?.reason ?? "", by: raw?.by ?? "", since: raw?.since ?? null });

export function drawKillSwitch(found) {
  const button = document.getElementById("kill"), banner = document.getElementById("stopped");
  if (known && known.active !== found.active) announce(found.active ? "Paid work is stopped." : "Paid work may go on.");
  known = found;
  button.hidden = found.active;
  drawStarts(found.active);
  banner.hidden = !found.active;
  if (!found.active) return swap(banner);
  swap(banner,
    h("p", {}, h("strong", {}, "Paid work is stopped."), " ", h("span", { dir: "auto" }, visible(found.reason)),
      h("span", { class: "by" }, found.by && [" By ", name(found.by)], found.since && [", ", h("time", { datetime: found.since, "data-ago": "" }, ago(found.since))])),
    h("button", { type: "button", "data-key": "resume", "aria-haspopup": "dialog", onclick: () => turn(false) }, "Let work go on"));
}

export function startKillSwitch() {
  document.getElementById("kill").addEventListener("click", () => turn(true));
}
