// All rows in the classifier's plane, in the colours of their clusters; a slider goes through the run.
import { useEffect, useRef, useState } from "preact/hooks";
import { address, api, clock, Fault, get, html, number, useFound } from "./base.js";
import { saved } from "./save.js";

const HEIGHT = 460, EDGE = 12, NEAR = 12;
const hue = (cluster, clusters) => `hsl(${Math.round((360 * cluster) / clusters)} 70% ${cluster % 2 ? 42 : 56}%)`;

const extent = (values) => {
  let least = Infinity, most = -Infinity;
  for (const value of values) { if (value < least) least = value; if (value > most) most = value; }
  return most > least ? [least, most] : [least - 1, least + 1];
};

/** Functions of x and y to pixels. */
function scales(found, width) {
  const [left, right] = extent(found.x), [low, high] = extent(found.y);
  return [(x) => EDGE + ((x - left) / (right - left)) * (width - 2 * EDGE), (y) => HEIGHT - EDGE - ((y - low) / (high - low)) * (HEIGHT - 2 * EDGE)];
}

const shows = (found, place, only) => only === null || found.cluster[place] === only;

function draw(canvas, found, count, only) {
  const width = canvas.clientWidth, ratio = devicePixelRatio || 1, ink = getComputedStyle(canvas);
  canvas.width = width * ratio;
  canvas.height = HEIGHT * ratio;
  const paint = canvas.getContext("2d");
  paint.scale(ratio, ratio);
  paint.fillStyle = ink.getPropertyValue("--paper");
  paint.fillRect(0, 0, width, HEIGHT);
  const [across, up] = scales(found, width), size = found.x.length > 5000 ? 2 : 4;
  const grey = ink.getPropertyValue("--line"), colours = Array.from({ length: found.clusters }, (_, cluster) => hue(cluster, found.clusters));
  for (const kept of [false, true]) // kept rows lie above the others
    for (let place = 0; place < count; place++)
      if (found.cluster[place] >= 0 === kept && shows(found, place, only)) {
        paint.fillStyle = kept ? colours[found.cluster[place]] : grey;
        paint.fillRect(across(found.x[place]) - size / 2, up(found.y[place]) - size / 2, size, size);
      }
  const [first, second] = found.cuts;
  paint.strokeStyle = ink.getPropertyValue("--quiet");
  paint.setLineDash([4, 4]);
  const line = (...ends) => { paint.beginPath(); paint.moveTo(ends[0], ends[1]); paint.lineTo(ends[2], ends[3]); paint.stroke(); };
  if (first) line(across(first[0]), 0, across(first[0]), HEIGHT);
  if (second) { line(0, up(second[0]), across(first[0]), up(second[0])); line(across(first[0]), up(second[1]), width, up(second[1])); }
}

export function RowMap({ run, live, query }) {
  const canvas = useRef();
  const [share, to] = useState(1000);
  const [only, choose] = useState(null);
  const [fault, fail] = useState();
  const { found, error, busy } = useFound(api(run, "map"), live.ended || (live.status && Math.floor(live.status.generations / 200)));
  const count = found ? Math.ceil((found.x.length * share) / 1000) : 0;
  useEffect(() => {
    if (!found || !canvas.current) return;
    const again = () => draw(canvas.current, found, count, only);
    again();
    const fit = new ResizeObserver(again);
    fit.observe(canvas.current.parentElement);
    return () => fit.disconnect();
  }, [found, count, only]);
  if (!found) return html`<h1>Map</h1><${Fault} error=${error} />${error ? null : html`<p class="quiet">${busy ? "The map of another page is being made." : "Placing the rows."}</p>`}`;
  const open = (event) => {
    const box = canvas.current.getBoundingClientRect(), [across, up] = scales(found, box.width);
    let best = NEAR ** 2, nearest;
    for (let place = 0; place < count; place++) {
      const far = (across(found.x[place]) - (event.clientX - box.left)) ** 2 + (up(found.y[place]) - (event.clientY - box.top)) ** 2;
      if (far <= best && shows(found, place, only)) { best = far; nearest = found.number[place]; }
    }
    if (nearest !== undefined) get(api(run, `map/${nearest}`)).then(({ id }) => { location.hash = address("rows", { run: query.run, row: id }); }, (problem) => fail(problem.message));
  };
  const kept = Array(found.clusters).fill(0);
  let without = 0;
  for (let place = 0; place < count; place++) if (found.cluster[place] >= 0) kept[found.cluster[place]]++; else without++;
  const last = count - 1;
  return html`<h1>Map</h1><${Fault} error=${error ?? fault} />
    <p class="quiet" id="sample">${found.every === 1 ? `All ${number(found.rows)} rows` : `Every ${found.every}th of ${number(found.rows)} rows, so ${number(found.x.length)}`} ${found.axes > 1 ? "in the plane of the first two axes" : "along the one axis, with time upwards,"} of the classifier in force from offset ${number(found.fitted_from)} (fitted on ${found.fitted_on}); dashed, its cuts. Rows without a cluster are grey. Colours are the recorded clusters, which an earlier classifier may have given.</p>
    <div class="inline"><label>Up to <input type="range" id="time" min="0" max="1000" value=${share} aria-valuetext=${`${number(count)} rows`} onInput=${(event) => to(Number(event.target.value))} /></label>
      <output id="until">${number(count)} of ${number(found.x.length)} shown rows${last >= 0 ? `, generation ${number(found.at[last])}, ${clock(found.ms[last])}` : ""}</output>
      <button class="small" onClick=${() => canvas.current.toBlob((blob) => saved(blob, "map.png"))}>Save as PNG</button>
      <button class="small" onClick=${() => saved(new Blob([["row,x,y,outcome,cluster,generation", ...found.x.map((x, place) => [found.number[place], x, found.y[place], found.outcomes[found.outcome[place]], found.cluster[place] < 0 ? "" : found.cluster[place], found.at[place]].join(","))].join("\n")], { type: "text/csv" }), "map.csv")}>Save as CSV</button></div>
    <figure class="map"><canvas ref=${canvas} role="img" aria-label=${`${number(count)} rows in ${found.clusters} clusters; the list below has their numbers`} onClick=${open}></canvas></figure>
    <ul class="legend" aria-label="Clusters">${kept.map((rows, cluster) => html`<li><button aria-pressed=${only === cluster} onClick=${() => choose(only === cluster ? null : cluster)}><svg width="10" height="10" aria-hidden="true"><rect width="10" height="10" fill=${hue(cluster, found.clusters)} /></svg> ${cluster}: ${number(rows)}</button></li>`)}
      <li class="quiet">without: ${number(without)}</li></ul>
    <p class="quiet">A cluster's button shows it alone; a click on a point opens the nearest row. <a href=${address("rows", { run: query.run, cluster: only ?? undefined })}>The rows as a list</a></p>`;
}
