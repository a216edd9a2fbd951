// Server-sent events that come back by themselves and miss nothing.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/**
 * Follow the stream for as long as the page lives.
 * @param {string} path its address
 * @param {string|null} after the id of the last event that the page knows already
 * @param {(event: object) => void} onEvent one event of a run's log
 * @param {(status: "live"|"waiting", again: boolean) => void} onStatus `again`: it was lost before
 * @returns {() => void} ends it
 */
export function follow(path, after, onEvent, onStatus) {
  let last = after, wait = FIRST_WAIT_MS, opened = false, source, timer;

  function open() {
    const address = new URL(path, location.href);
    if (last !== null && last !== undefined && last !== "") address.searchParams.set("after", last);
    source = new EventSource(address);
    source.onopen = () => {
      wait = FIRST_WAIT_MS;
      onStatus("live", opened);
      opened = true;
    };
    source.onmessage = take;
    // The gateway may name its events; a page without the name would not hear them.
    for (const name of NAMES) source.addEventListener(name, take);
    source.onerror = () => {
      onStatus("waiting", opened);
      // The browser comes back by itself, except from an answer that was an error.
      if (source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    };
  }

  function take(message) {
    if (message.lastEventId) last = message.lastEventId;
    let event;
    try {
      event = JSON.parse(message.data);
    } catch {
      return;
    }
    if (event && typeof event === "object") onEvent({ event: message.type, ...event });
  }

  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}

export const NAMES = [
  "training_progress", "training_checkpoint", "training_epoch_complete", "training_result",
  "battle_started", "battle_turn", "battle_scored", "battle_failed",
  "batch_complete", "budget_stopped", "breakthrough", "kill_switch",
];
