// What the gateway answers, made whole: a part that is missing becomes "not known".

const list = (value) => (Array.isArray(value) ? value : []);
const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const text = (value) => (value === null || value === undefined ? "" : String(value));

/** A mean with its interval, from `{value, low, high, n}` or a bare number. */
export function estimate(raw) {
  if (number(raw) !== null) return { value: raw, low: null, high: null, n: null };
  const value = number(raw?.value);
  return value === null ? null : { value, low: number(raw.low), high: number(raw.high), n: number(raw.n) };
}

const budget = (raw) => raw && {
  limit: number(raw.limit_usd),
  spent: number(raw.spent_usd) ?? 0,
  reserved: number(raw.reserved_usd) ?? 0,
};

export const summary = (raw) => ({
  workflow: text(raw.workflow_id),
  workflows: list(raw.workflows).map((w) => text(w.id ?? w)),
  simulated: raw.simulated === true,
  killSwitch: killSwitch(raw.kill_switch),
  battles: number(raw.battles),
  average: estimate(raw.average_score),
  batch: budget(raw.budgets?.batch),
  day: budget(raw.budgets?.day),
  run: budget(raw.budgets?.run),
  breakthroughs: raw.breakthroughs ?? {},
  runs: list(raw.runs).map(run),
  after: raw.after ?? null,
});

export const killSwitch = (raw) => ({
  active: raw?.active === true,
  reason: text(raw?.reason),
  by: text(raw?.by),
  since: raw?.since ?? null,
});

export const run = (raw) => raw && {
  id: text(raw.id ?? raw.run_id),
  kind: text(raw.kind),
  workflow: text(raw.workflow_id),
  status: text(raw.status),
  stoppedBy: text(raw.stopped_by),
  epochs: number(raw.request?.optimizer?.epochs) ?? number(raw.epochs),
  epoch: number(raw.metrics?.epoch),
  cost: number(raw.metrics?.cost_usd) ?? number(raw.cost_usd),
  size: number(raw.request?.batch_size) ?? number(raw.request?.batchSize),
  simulated: raw.simulated === true,
  startedAt: raw.started_at ?? raw.created_at ?? null,
  finishedAt: raw.finished_at ?? null,
  error: text(raw.error?.message ?? raw.error),
};

export const battle = (raw) => ({
  id: text(raw.id ?? raw.battle_id),
  batch: text(raw.batch_id),
  persona: text(raw.persona_name || raw.persona_id),
  status: text(raw.status),
  score: number(raw.score),
  endedBy: text(raw.ended_by),
  outcome: text(raw.outcome?.kind ?? raw.outcome),
  price: number(raw.outcome?.agreed_price),
  spoiled: raw.spoiled === true,
  simulated: raw.simulated === true,
  version: text(raw.agent_version),
  cost: number(raw.cost_usd),
  error: text(raw.error?.message ?? raw.error),
  rationale: text(raw.rationale),
  fidelity: number(raw.fidelity),
  at: raw.completed_at ?? raw.started_at ?? raw.created_at ?? null,
  turns: list(raw.turns).map(turn),
  checks: Object.entries(raw.evaluations ?? {}).map(([id, found]) => ({
    name: id,
    score: number(found?.score),
    reason: text(found?.reason),
    counts: found?.counts !== false,
  })),
  subScores: list(raw.sub_scores).map(subScore),
});

export const turn = (raw) => ({
  index: number(raw.index) ?? 0,
  speaker: text(raw.speaker),
  text: text(raw.text),
  truncated: raw.truncated === true,
  tools: list(raw.tool_calls).map((call) => ({
    name: text(call.name),
    arguments: call.arguments ?? null,
    result: text(call.error ?? call.result),
    failed: (call.error ?? null) !== null,
  })),
});

const subScore = (raw) => ({
  name: text(raw.name),
  score: number(raw.score),
  turn: number(raw.turn),
  evidence: text(raw.evidence),
  ok: raw.evidence_ok ?? null,
});

export const battles = (raw) => ({
  battles: list(raw.battles ?? raw).map(battle),
  batches: list(raw.batches).map((b) => ({
    id: text(b.id ?? b.batch_id),
    average: estimate(b.average_score),
    at: b.completed_at ?? b.finished_at ?? b.created_at ?? null,
  })),
});

export const training = (raw) => ({
  run: raw.run ? run(raw.run) : null,
  cases: raw.cases ?? null,
  latest: list(raw.latest).map(progress),
  epochs: list(raw.epochs).map((e) => ({
    epoch: number(e.epoch),
    score: number(e.score),
    validation: number(e.validation_score),
    low: number(e.validation_interval?.low ?? e.validation_low),
    high: number(e.validation_interval?.high ?? e.validation_high),
    accepted: e.accepted ?? null,
    reason: text(e.reason),
    cost: number(e.cost_usd),
  })),
});

export const evaluation = (raw) => ({
  run: raw.run ? run(raw.run) : null,
  done: number(raw.done),
  total: number(raw.total),
  verdict: text(raw.verdict),
  failures: list(raw.failures).map(text),
  differ: number(raw.differ) ?? 0,
  columns: list(raw.columns).map((c) => ({
    id: text(c.id),
    name: text(c.name),
    judged: c.judged !== false,
    score: estimate(c.score),
    against: text(c.against),
    change: estimate(c.change),
    cost: number(c.cost_usd),
  })),
  cases: list(raw.cases).map((c) => ({
    id: text(c.case_id),
    said: text(c.said),
    answers: list(c.answers).map((a) => ({ column: text(a.column), status: text(a.status), score: number(a.score), output: text(a.output) })),
  })),
});

const ENDS = {
  length: "cut at its token limit",
  content_filter: "filtered by the provider",
  refusal: "refused by the model",
};

/** One case's result as the live list shows it. */
export function progress(raw) {
  const scores = Object.values(raw.evaluations ?? {}).map((e) => number(e?.score)).filter((v) => v !== null);
  return {
    id: text(raw.case_id ?? raw.case_index),
    epoch: number(raw.epoch),
    candidate: text(raw.candidate_id),
    repeat: number(raw.repeat) ?? 0,
    status: text(raw.status),
    score: number(raw.score) ?? (scores.length ? scores.reduce((a, b) => a + b, 0) / scores.length : null),
    error: text(raw.error?.message ?? raw.error ?? ENDS[raw.finish_reason]),
    inputs: raw.inputs,
  };
}

export const ratings = (raw) => list(raw.ratings ?? raw).map((r) => ({
  kind: text(r.kind),
  name: text(r.name || r.id || r.subject),
  rating: number(r.rating),
  low: number(r.low),
  high: number(r.high),
  battles: number(r.battles),
})).filter((r) => r.rating !== null);

export const personas = (raw) => list(raw.personas ?? raw).map((p) => ({
  id: text(p.id ?? p.persona_id),
  name: text(p.name || p.id),
  active: p.active !== false,
  declared: number(p.difficulty),
  battles: number(p.battles) ?? 0,
  mean: number(p.mean_score?.value ?? p.mean_score),
  walkAways: number(p.walk_aways) ?? 0,
  subScores: p.sub_scores ?? {},
}));

export const breakthroughs = (raw) => list(raw.breakthroughs ?? raw).map((b) => ({
  id: text(b.id),
  battle: text(b.battle_id),
  persona: text(b.persona_name || b.persona_id),
  score: number(b.score),
  reason: text(b.reason),
  title: text(b.tactic?.title ?? b.title),
  tactic: text(b.tactic?.tactic ?? b.tactic),
  snippet: text(b.tactic?.snippet ?? b.snippet),
  state: text(b.status ?? b.state),
  confirmed: b.confirmed ?? null,
  seen: 1 + list(b.merged_battle_ids).length,
  trial: text(b.last_trial),
  review: text(list(b.reviews).at(-1)?.reason),
  simulated: b.simulated === true,
  at: b.created_at ?? null,
}));

export const checkpoints = (raw) => list(raw.checkpoints ?? raw).map((c) => ({
  id: text(c.id),
  version: number(c.config_version),
  validation: number(c.metrics?.validation_score),
  best: c.is_best === true,
  simulated: c.metadata?.simulated === true,
  at: c.created_at ?? null,
}));
