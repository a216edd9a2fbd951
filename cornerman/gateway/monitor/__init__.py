"""The live page: its documents, its files, and the comparison that it asks for.

What the page reads (`static/js/shapes.js` takes each in; a missing or null field is "not known"):

- `/api/monitor/summary?workflow=W`: `{workflow_id, workflows: [id], simulated, kill_switch,
  battles, average_score: {value, low, high, n}, budgets: {batch, day, run: {limit_usd, spent_usd,
  reserved_usd}}, breakthroughs: {pending_review, reviewed, promoted, rejected}, runs: [run]}`
- `/api/monitor/battles?workflow=W`: `{battles: [battle], batches: [{id, average_score: {value, low,
  high, n}, created_at, simulated}]}`; a battle is `Battle` with `persona_name`, newest first
- `/api/battles/{id}`: a battle with `turns`
- `/api/monitor/training/W`: `{run, epochs: [training_epoch_complete's payload], latest:
  [training_progress's payload], newest first}`
- `/api/monitor/diff/W?before=ID&after=ID`: as `diff_checkpoints`
- `/api/ratings/W`: `{ratings: [{kind, id, name, rating, low, high, battles}]}`
- `/api/personas/W`: `{personas: [{id, name, active, difficulty, battles, mean_score, low, high,
  walk_aways, sub_scores: {name: mean}}]}`
- `/api/breakthroughs?workflow=W`: `{breakthroughs: [Breakthrough]}`, newest first
- `POST /api/breakthroughs/{id}/state` takes `{state, reason}`
- `PUT /api/kill-switch` takes `{active, reason}`
- `/api/monitor/stream?after=ID`: server-sent events, `data` as in `/api/runs/{id}/events` with
  `run_id`, `workflow_id`, `simulated`; its `id` is what `after` and Last-Event-ID take
"""

from cornerman.gateway.monitor.page import CONTENT_SECURITY_POLICY, render_login, render_page

__all__ = ["CONTENT_SECURITY_POLICY", "render_login", "render_page"]
