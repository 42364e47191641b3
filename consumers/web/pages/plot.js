// A plot: lines over an axis, with units, in the colours of the page; its numbers can be saved.
import { useEffect, useRef } from "preact/hooks";
import { html } from "./base.js";
import { fileName, plotCsv, plotPng, plotSvg, saved } from "./save.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const named = (lines) => {
  const labels = lines.map((line) => line.label).join(", ");
  return lines[0].unit ? `${labels} (${lines[0].unit})` : labels;
};

/** `lines` are {label, unit, values, scale}; x counts up, or is a time in ms if `time`. With another `again` it is drawn anew. */
export function Plot({ title, x, xLabel, time = false, lines, height = 220, again }) {
  const box = useRef();
  useEffect(() => {
    const node = box.current;
    if (!x.length || !node) return;
    const ink = colour("--ink"), grid = colour("--line"), colours = ["--one", "--two", "--three"].map(colour);
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px sans-serif" };
    const scales = [...new Set(lines.map((line) => line.scale ?? "y"))];
    const plot = new uPlot({
      width: node.clientWidth || 600, height,
      scales: { x: { time } },
      legend: { live: true },
      axes: [
        { ...axis, label: xLabel, labelFont: "12px sans-serif", labelSize: 18 },
        ...scales.map((scale, place) => ({
          ...axis, scale, side: place ? 1 : 3, size: 64, labelFont: "12px sans-serif", labelSize: 18, grid: place ? { show: false } : axis.grid,
          label: named(lines.filter((line) => (line.scale ?? "y") === scale)),
        })),
      ],
      series: [{ label: xLabel }, ...lines.map((line, place) => ({
        label: line.label, scale: line.scale ?? "y", stroke: colours[place], width: 1.5, points: { show: x.length < 60 },
      }))],
    }, [time ? x.map((ms) => ms / 1000) : x, ...lines.map((line) => line.values)], node);
    const fit = new ResizeObserver(() => node.isConnected && plot.setSize({ width: node.clientWidth, height }));
    fit.observe(node);
    return () => { fit.disconnect(); plot.destroy(); };
  }, [again === undefined ? x : again, lines.map((line) => line.label).join()]);
  const files = {
    CSV: () => saved(plotCsv(x, xLabel, lines), fileName(title, "csv")),
    PNG: () => plotPng(box.current.querySelector("canvas"), title, colour, (blob) => saved(blob, fileName(title, "png"))),
    SVG: () => saved(plotSvg({ title, x, xLabel, time, lines, colour }), fileName(title, "svg")),
  };
  return html`<figure>
    <figcaption>${title}${x.length ? html` <span class="saves">Save as ${Object.entries(files).map(([kind, save]) => html` <button class="small" aria-label=${`Save ${title} as ${kind}`} onClick=${save}>${kind}</button>`)}</span>` : null}</figcaption>
    ${x.length ? null : html`<p class="quiet">Nothing yet.</p>`}
    <div ref=${box} role="img" aria-label=${title}></div>
  </figure>`;
}
