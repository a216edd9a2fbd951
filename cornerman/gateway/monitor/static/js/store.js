// What the page knows, and how it keeps it fresh: events say what changed, answers say to what.
import { get, path } from "./api.js";
import * as shapes from "./shapes.js";

const PAUSE_MS = 700;
// What commands mean, and empty states speak of, when no workflow is named.
export const FIRST_WORKFLOW = "negotiation";

/** The newest answers by resource, and live facts that came by event before any answer. */
export const state = { workflow: "", said: {}, turns: new Map(), cases: [] };

/** Whose training is shown: the chosen workflow's or, when it was never trained, the newest run's. */
export function trainedWorkflow() {
  const trained = (state.summary?.runs ?? []).filter((run) => run.kind === "train");
  const own = !trained.length || trained.some((run) => run.workflow === state.workflow);
  return own ? state.workflow : trained[0].workflow;
}

/** A command as one has to type it for the workflow that is shown. */
export const typed = (command) =>
  state.workflow === FIRST_WORKFLOW ? command : `${command} --workflow ${state.workflow}`;

const addresses = {
  summary: () => (state.workflow ? path`/api/monitor/summary?workflow=${state.workflow}` : "/api/monitor/summary"),
  battles: () => path`/api/monitor/battles?workflow=${state.workflow}`,
  training: () => path`/api/monitor/training/${trainedWorkflow()}`,
  evaluation: () => path`/api/monitor/evaluation/${state.workflow}`,
  ratings: () => path`/api/ratings/${state.workflow}`,
  personas: () => path`/api/personas/${state.workflow}`,
  breakthroughs: () => path`/api/breakthroughs?workflow=${state.workflow}`,
  // Of a workflow that nobody ever ran there is nothing to ask for.
  checkpoints: () => state.summary?.workflows.includes(trainedWorkflow())
    && path`/api/workflows/${trainedWorkflow()}/agentensor/checkpoints?limit=200`,
};
export const RESOURCES = Object.keys(addresses);

const listeners = new Map(RESOURCES.map((name) => [name, new Set()]));
const pending = new Map();

/** Call `draw(value, error)` whenever the resource has a new answer, or none. */
export function onAnswer(name, draw) {
  listeners.get(name).add(draw);
}

/** Draw again with what is known, for facts that came by event. */
export function redraw(name) {
  if (name in state) for (const draw of listeners.get(name)) draw(state[name], null);
}

/** Ask again, at most once per pause and never twice at a time. */
export function refresh(...names) {
  for (const name of names) {
    const entry = pending.get(name);
    if (entry) entry.again = true;
    else run(name);
  }
}

async function run(name) {
  const entry = { again: false };
  pending.set(name, entry);
  await load(name);
  setTimeout(() => {
    pending.delete(name);
    if (entry.again) run(name);
  }, PAUSE_MS);
}

/** Ask once; drawing is left out when the answer is the one before. */
export async function load(name) {
  const asked = state.workflow;
  try {
    const address = addresses[name]();
    const raw = address ? await get(address) : [];
    if (asked !== state.workflow) return;
    const said = JSON.stringify(raw);
    if (state.said[name] === said) return;
    state.said[name] = said;
    state[name] = shapes[name](raw);
    redraw(name);
  } catch (error) {
    // A network that is gone is said once, by the connection's own mark.
    if (error instanceof TypeError || asked !== state.workflow) return;
    if (name in state) return;
    for (const draw of listeners.get(name)) draw(null, error);
  }
}

/** Begin with another workflow. */
export function choose(workflow) {
  state.workflow = workflow;
  state.said = {};
  state.turns.clear();
  state.cases.length = 0;
  for (const name of RESOURCES) delete state[name];
}
