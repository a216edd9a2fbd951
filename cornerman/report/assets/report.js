(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const color = name => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const data = JSON.parse(document.getElementById("chart-data").textContent);

  // Charts. Colours come from the style sheet, so a change of scheme draws them anew.
  const font = () => "12px " + getComputedStyle(document.body).fontFamily;
  const usd = v => v == null ? "–" : v === 0 ? "$0" : "$" + (v >= 1 ? v.toFixed(2) : String(+v.toPrecision(3)));
  const time = s => s < 120 ? +s.toFixed(1) + " s" : s < 7200 ? +(s / 60).toFixed(1) + " min" : +(s / 3600).toFixed(1) + " h";
  const decimals = step => Math.min(8, Math.max(2, (step.toFixed(8).replace(/0+$/, "").split(".")[1] || "").length));
  const score = v => v == null ? "–" : v.toFixed(3);

  const axis = more => ({
    stroke: color("soft"), font: font(), grid: { stroke: color("line"), width: 1 },
    ticks: { show: false }, ...more,
  });

  function learning(d) {
    const n = d.epochs.length;
    const hasBand = d.low.some(v => v != null);
    const seen = [...d.train, ...d.validation, ...d.low, ...d.high].filter(v => v != null);
    const low = Math.max(0, Math.floor((Math.min(...seen) - 0.03) * 10) / 10);
    const high = Math.min(1, Math.ceil((Math.max(...seen) + 0.03) * 10) / 10);
    const dots = (u, series) => {
      const { ctx } = u, ratio = devicePixelRatio;
      ctx.save();
      d.validation.forEach((v, i) => {
        if (v == null) return;
        const x = u.valToPos(d.epochs[i], "x", true), y = u.valToPos(v, "y", true);
        if (n === 1 && d.low[i] != null && d.high[i] != null) {
          ctx.strokeStyle = color("blue"); ctx.lineWidth = 2 * ratio;
          ctx.beginPath(); ctx.moveTo(x, u.valToPos(d.low[i], "y", true));
          ctx.lineTo(x, u.valToPos(d.high[i], "y", true)); ctx.stroke();
        }
        ctx.beginPath(); ctx.arc(x, y, 4.5 * ratio, 0, 2 * Math.PI);
        ctx.fillStyle = d.accepted[i] === false ? color("paper") : color("blue");
        ctx.strokeStyle = color("blue"); ctx.lineWidth = 2 * ratio;
        ctx.fill(); ctx.stroke();
      });
      ctx.restore();
    };
    const ghost = { stroke: "transparent", width: 0, points: { show: false } };
    return {
      columns: [d.epochs, d.train, d.validation, d.high, d.low],
      options: {
        scales: {
          x: { time: false, range: () => [d.epochs[0] - 0.3, d.epochs[n - 1] + 0.3] },
          y: { range: () => [low, high > low ? high : low + 0.1] },
        },
        axes: [
          axis({ size: 34, grid: { show: false }, splits: () => d.epochs.filter((_, i) => i % Math.ceil(n / 12) === 0), values: (u, v) => v.map(e => "epoch " + e) }),
          axis({ size: 46, values: (u, v) => v.map(e => e == null ? "" : e.toFixed(high - low > 0.25 ? 1 : 2)), space: 40 }),
        ],
        series: [
          {},
          { stroke: color("soft"), width: 1.5, dash: [5, 4], points: { show: n < 30, size: 5, fill: color("soft"), stroke: color("soft") }, spanGaps: true },
          { stroke: color("blue"), width: 2.5, points: { show: false }, spanGaps: true },
          ghost, ghost,
        ],
        bands: hasBand ? [{ series: [3, 4], fill: color("band") }] : [],
        hooks: { draw: [dots] },
      },
      say: i => `Epoch ${d.epochs[i]}: validation ${score(d.validation[i])}` +
        (d.low[i] == null ? "" : ` (${score(d.low[i])} to ${score(d.high[i])})`) +
        `, training ${score(d.train[i])}` +
        (d.accepted[i] == null ? "" : d.accepted[i] ? ", accepted" : ", rejected"),
    };
  }

  function cost(d) {
    const top = Math.max(...d.usd, d.budget || 0) * 1.08 || 1;
    const end = Math.max(...d.seconds) || 1;
    return {
      columns: [d.seconds, d.usd, ...(d.budget == null ? [] : [d.seconds.map(() => d.budget)])],
      options: {
        scales: { x: { time: false, range: () => [0, end] }, y: { range: () => [0, top] } },
        axes: [
          axis({ size: 34, grid: { show: false }, space: 70, values: (u, v) => v.map(time) }),
          axis({ size: 66, space: 40, values: (u, v, i, space, step) => v.map(e => "$" + e.toFixed(decimals(step))) }),
        ],
        series: [
          {},
          { stroke: color("blue"), width: 2, fill: color("band"), paths: uPlot.paths.stepped({ align: 1 }), points: { show: d.usd.length === 1 } },
          ...(d.budget == null ? [] : [{ stroke: color("red"), width: 2, dash: [6, 5], points: { show: false } }]),
        ],
      },
      say: i => `${usd(d.usd[i])} after ${time(d.seconds[i])}`,
    };
  }

  const kinds = { learning, cost };
  let plots = [];
  function draw() {
    plots.forEach(({ plot }) => plot.destroy());
    plots = all("[data-chart]").map(box => {
      const made = kinds[data[box.dataset.chart].kind](data[box.dataset.chart]);
      const readout = document.querySelector(`[data-readout="${box.dataset.chart}"]`);
      const plot = new uPlot({
        width: box.clientWidth, height: 260, padding: [12, 16, 0, 0], legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
        ...made.options,
        hooks: { ...made.options.hooks, setCursor: [u => { readout.textContent = u.cursor.idx == null ? "" : made.say(u.cursor.idx); }] },
      }, made.columns, box);
      return { box, plot };
    });
  }
  draw();
  const observer = new ResizeObserver(() => plots.forEach(({ box, plot }) => {
    if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: 260 });
  }));
  all("[data-chart]").forEach(box => observer.observe(box));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  // Paper is white: print in the light scheme, with the transcripts open.
  let opened = [];
  addEventListener("beforeprint", () => {
    root.classList.add("print");
    opened = all("details.battle:not([open])");
    opened.forEach(details => { details.open = true; });
    draw();
  });
  addEventListener("afterprint", () => {
    root.classList.remove("print");
    opened.forEach(details => { details.open = false; });
    draw();
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
