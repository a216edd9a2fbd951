// The charts of the report and of the monitor, drawn by uPlot.
// Colours come from the style sheet, so a change of scheme draws them anew.
globalThis.cornermanCharts = (() => {
  "use strict";
  const HEIGHT = 260;
  const root = document.documentElement;
  const color = name => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const font = () => "12px " + getComputedStyle(document.body).fontFamily;
  const usd = v => v == null ? "–" : v === 0 ? "$0" : "$" + (v >= 1 ? v.toFixed(2) : String(+v.toPrecision(3)));
  const time = s => s < 120 ? +s.toFixed(1) + " s" : s < 7200 ? +(s / 60).toFixed(1) + " min" : +(s / 3600).toFixed(1) + " h";
  const decimals = step => Math.min(8, Math.max(2, (step.toFixed(8).replace(/0+$/, "").split(".")[1] || "").length));
  const score = v => v == null ? "–" : v.toFixed(3);
  const points = v => v == null ? "–" : v.toFixed(1);

  const axis = more => ({
    stroke: color("soft"), font: font(), grid: { stroke: color("line"), width: 1 },
    ticks: { show: false }, ...more,
  });
  const ghost = () => ({ stroke: "transparent", width: 0, points: { show: false } });

  // A dot per estimate, hollow where `filled` says so; a single one has no band, so it gets a bar.
  const dots = (xs, d, values, filled) => u => {
    const { ctx } = u, ratio = devicePixelRatio;
    // Neighbours stay apart, so that hollow ones can be told from full ones.
    const radius = Math.min(4.5, Math.max(1.5, u.over.clientWidth / xs.length / 3));
    ctx.save();
    ctx.strokeStyle = color("blue"); ctx.lineWidth = (radius < 3 ? 1.5 : 2) * ratio;
    values.forEach((v, i) => {
      if (v == null) return;
      const x = u.valToPos(xs[i], "x", true), y = u.valToPos(v, "y", true);
      if (xs.length === 1 && d.low[i] != null && d.high[i] != null) {
        ctx.beginPath(); ctx.moveTo(x, u.valToPos(d.low[i], "y", true));
        ctx.lineTo(x, u.valToPos(d.high[i], "y", true)); ctx.stroke();
      }
      ctx.beginPath(); ctx.arc(x, y, radius * ratio, 0, 2 * Math.PI);
      ctx.fillStyle = filled(i) ? color("blue") : color("paper");
      ctx.fill(); ctx.stroke();
    });
    ctx.restore();
  };
  const banded = (xs, d, values, filled) => ({
    bands: d.low.some(v => v != null) ? [{ series: [3, 4], fill: color("band") }] : [],
    hooks: { draw: [dots(xs, d, values, filled)] },
  });
  // As many epochs as have room for their numbers, and round ones when not all have.
  const EPOCH_NUMBER = 44;
  const roomy = epochs => u => {
    const least = epochs.length * EPOCH_NUMBER / Math.max(u.width - 70, EPOCH_NUMBER);
    const step = [1, 2, 5, 10, 20, 50].find(n => n >= least) ?? 100;
    return epochs.filter(epoch => epoch % step === 0);
  };

  function learning(d) {
    const n = d.epochs.length;
    const seen = [...d.train, ...d.validation, ...d.low, ...d.high].filter(v => v != null);
    const low = Math.max(0, Math.floor((Math.min(...seen) - 0.03) * 10) / 10);
    const high = Math.min(1, Math.ceil((Math.max(...seen) + 0.03) * 10) / 10);
    return {
      columns: [d.epochs, d.train, d.validation, d.high, d.low],
      options: {
        scales: {
          x: { time: false, range: () => [d.epochs[0] - 0.3, d.epochs[n - 1] + 0.3] },
          y: { range: () => [low, high > low ? high : low + 0.1] },
        },
        axes: [
          axis({ size: 34, grid: { show: false }, splits: roomy(d.epochs), values: (u, v) => v.map((e, i) => i ? e : "epoch " + e) }),
          axis({ size: 46, values: (u, v) => v.map(e => e == null ? "" : e.toFixed(high - low > 0.25 ? 1 : 2)), space: 40 }),
        ],
        series: [
          {},
          { stroke: color("soft"), width: 1.5, dash: [5, 4], points: { show: n < 30, size: 5, fill: color("soft"), stroke: color("soft") }, spanGaps: true },
          { stroke: color("blue"), width: 2.5, points: { show: false }, spanGaps: true },
          ghost(), ghost(),
        ],
        ...banded(d.epochs, d, d.validation, i => d.accepted[i] !== false),
      },
      say: i => `Epoch ${d.epochs[i]}: validation ${score(d.validation[i])}` +
        (d.low[i] == null ? "" : ` (${score(d.low[i])} to ${score(d.high[i])})`) +
        `, training ${score(d.train[i])}` +
        (d.accepted[i] == null ? "" : d.accepted[i] ? ", accepted" : ", rejected"),
    };
  }

  function trend(d) {
    const xs = d.value.map((_, i) => i + 1), n = xs.length;
    return {
      columns: [xs, d.value.map(() => null), d.value, d.high, d.low],
      options: {
        scales: { x: { time: false, range: () => [0.7, Math.max(n, 2) + 0.3] }, y: { range: () => [0, 100] } },
        axes: [
          axis({ size: 34, grid: { show: false }, space: 60, incrs: [1, 2, 5, 10, 20, 50, 100, 200], values: (u, v) => v.map((x, i) => d.ticks[x - 1] === d.ticks[v[i - 1] - 1] ? "" : d.ticks[x - 1] ?? "") }),
          axis({ size: 40, space: 40 }),
        ],
        series: [{}, ghost(), { stroke: color("blue"), width: 2.5, points: { show: false }, spanGaps: true }, ghost(), ghost()],
        ...banded(xs, d, d.value, () => true),
      },
      say: i => `${d.labels[i]}: ${points(d.value[i])}` +
        (d.low[i] == null ? "" : ` (${points(d.low[i])} to ${points(d.high[i])})`),
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

  const kinds = { learning, trend, cost };
  const kept = new Set();

  // Draws `data` into `box` and keeps it drawn at any width; `say` gets what the pointer is on.
  function keepDrawn(box, data, say) {
    let plot;
    const chart = {
      draw() {
        plot?.destroy();
        const made = kinds[data.kind](data);
        plot = new uPlot({
          width: box.clientWidth, height: HEIGHT, padding: [12, 20, 0, 0], legend: { show: false },
          cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
          ...made.options,
          hooks: { ...made.options.hooks, setCursor: [u => say(u.cursor.idx == null ? "" : made.say(u.cursor.idx))] },
        }, made.columns, box);
      },
      end() { observer.disconnect(); kept.delete(chart); plot?.destroy(); },
    };
    const observer = new ResizeObserver(() => {
      if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: HEIGHT });
    });
    chart.draw();
    observer.observe(box);
    kept.add(chart);
    return chart;
  }

  const redraw = () => kept.forEach(chart => chart.draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  return { keepDrawn, redraw };
})();
