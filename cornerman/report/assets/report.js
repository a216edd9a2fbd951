(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const data = JSON.parse(document.getElementById("chart-data").textContent);

  const { keepDrawn, redraw } = cornermanCharts;
  all("[data-chart]").forEach(box => {
    const readout = document.querySelector(`[data-readout="${box.dataset.chart}"]`);
    keepDrawn(box, data[box.dataset.chart], text => { readout.textContent = text; });
  });

  // Paper is white: print in the light scheme, with the transcripts open.
  let opened = [];
  addEventListener("beforeprint", () => {
    root.classList.add("print");
    opened = all("details.battle:not([open])");
    opened.forEach(details => { details.open = true; });
    redraw();
  });
  addEventListener("afterprint", () => {
    root.classList.remove("print");
    opened.forEach(details => { details.open = false; });
    redraw();
  });

  // Cases: by verdict, a screenful first.
  const first = 12;
  const cases = all(".case"), filters = all("[data-filter]"), more = document.querySelector("[data-more]");
  let wanted = "", whole = false;
  function list() {
    const matching = cases.filter(c => !wanted || c.dataset.verdict === wanted);
    const short = !whole && matching.length > first + 3;
    const visible = new Set(short ? matching.slice(0, first) : matching);
    cases.forEach(c => { c.hidden = !visible.has(c); });
    filters.forEach(b => b.setAttribute("aria-pressed", String(b.dataset.filter === wanted)));
    if (more) { more.hidden = !short; more.textContent = `Show all ${matching.length}`; }
  }
  filters.forEach(b => b.addEventListener("click", () => { wanted = b.dataset.filter; whole = false; list(); }));
  if (more) more.addEventListener("click", () => {
    const next = cases.find(c => c.hidden && (!wanted || c.dataset.verdict === wanted));
    whole = true; list();
    if (next) next.querySelector("summary").focus();
  });
  list();

  // A link to something inside a closed transcript opens it.
  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target && target.closest("details");
    if (details) details.open = true;
  }
  addEventListener("hashchange", reveal);
  reveal();

  const links = new Map(all("nav a").map(a => [document.querySelector(a.hash), a]));
  const spy = new IntersectionObserver(entries => entries.forEach(e => {
    if (!e.isIntersecting) return;
    links.forEach(a => { a.classList.remove("here"); a.removeAttribute("aria-current"); });
    links.get(e.target).classList.add("here");
    links.get(e.target).setAttribute("aria-current", "true");
  }), { rootMargin: "-10% 0px -80% 0px" });
  links.forEach((_, target) => target && spy.observe(target));
})();
