// How the page writes numbers, money and time; as cornerman.report.text does.

export const NONE = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);
const minus = (text) => text.replace("-", "\u2212");

/** A training score, 0..1. */
export const score = (value, digits = 3) => (known(value) ? minus(value.toFixed(digits)) : NONE);

/** A battle score, 0..100, or a rating. */
export const points = (value) => (known(value) ? minus(value.toFixed(1).replace(/\.0$/, "")) : NONE);

export const count = (value) => (known(value) ? value.toLocaleString("en") : NONE);

export const plural = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

export function usd(value) {
  if (!known(value)) return NONE;
  if (value <= 0 || value >= 1) return "$" + value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  if (value >= 0.01) return "$" + value.toFixed(4).replace(/00$/, "");
  return value >= 1e-6 ? "$" + value.toFixed(6).replace(/00$/, "") : "under $0.000001";
}

/** `42.1 to 67.3`, or nothing when there is no interval. */
export const between = (estimate, write) =>
  known(estimate?.low) && known(estimate?.high) ? `${write(estimate.low)} to ${write(estimate.high)}` : "";

export function ago(iso, now = Date.now()) {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return plural(Math.floor(seconds / 86_400), "day") + " ago";
}

const FULL = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export const when = (iso) => (Number.isNaN(Date.parse(iso)) ? "" : FULL.format(new Date(iso)));

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
/** Short names of moments for an axis: times within a day and a half, days beyond it. */
export function ticks(moments) {
  const at = moments.map((iso) => new Date(iso));
  const short = Math.max(...at) - Math.min(...at) < 36 * 3_600_000;
  return at.map((moment) => (Number.isNaN(+moment) ? "" : (short ? TIME : DAY).format(moment)));
}

/** `walk_away` as people write it. */
export const words = (key) => String(key ?? "").replaceAll("_", " ");

/** Where a value lies on an axis, in percent. */
export function percent(value, low, high) {
  if (high <= low) return 50;
  return Math.round(Math.min(Math.max((value - low) / (high - low), 0), 1) * 10_000) / 100;
}
