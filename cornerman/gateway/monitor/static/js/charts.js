// A chart as a figure: drawn by uPlot, said in words, and readable as a table.
import { h, swap } from "./dom.js";

const drawn = new Map();

/**
 * Draw a chart into a panel.
 * @param {Element} panel
 * @param {{id, data, label, legend: [kind, text][], columns: string[], rows: string[][]}} chart
 */
export function showChart(panel, chart) {
  const readout = h("span", { class: "readout", "aria-hidden": "true" });
  const box = h("div", { class: "chart", role: "img", "aria-label": chart.label });
  drawn.get(panel)?.end();
  swap(
    panel,
    h("figure", { class: "chart-box" },
      h("figcaption", { class: "legend" },
        chart.legend.map(([kind, text]) => h("span", { class: `key-${kind}` }, text)), readout),
      box,
      h("details", { class: "data", "data-key": `${chart.id}-table` },
        h("summary", { "data-key": `${chart.id}-summary` }, "The same as a table"),
        h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table. ${chart.label}` },
          table(chart.columns, chart.rows)))),
  );
  drawn.set(panel, globalThis.cornermanCharts.keepDrawn(box, chart.data, (text) => { readout.textContent = text; }));
}

export function dropChart(panel) {
  drawn.get(panel)?.end();
  drawn.delete(panel);
}

const table = (columns, rows) =>
  h("table", {},
    h("thead", {}, h("tr", {}, columns.map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell))))));
