// All generated instructions: facets, search, page by page; and one of them with its story.
import { useEffect, useState } from "preact/hooks";
import { address, api, Fault, get, html, number, Text, useFound } from "./base.js";
import { Drawer } from "./drawer.js";

const FACETS = { outcome: "Verdict", reason: "Reason", cluster: "Cluster", model: "Model", producer: "Producer" };
const FILTERS = [...Object.keys(FACETS), "seed", "search"];

function Facet({ name, values, query }) {
  const chosen = query[name];
  if (!values?.length && chosen === undefined) return null;
  return html`<fieldset><legend>${FACETS[name]}</legend><ul>${(values ?? []).slice(0, 30).map(({ value, rows }) => html`
    <li><a class="facet" aria-current=${String(value) === chosen ? "true" : undefined}
      href=${address("rows", { ...query, row: undefined, [name]: String(value) === chosen ? undefined : value })}>
      <${Text}>${String(value)}<//> <span class="count">${number(rows)}</span></a></li>`)}</ul></fieldset>`;
}

const Row = ({ row, query }) => html`<tr class=${row.id === query.row ? "chosen" : ""}>
  <td><span class=${`verdict ${row.outcome}`}>${row.outcome === "rejected" ? row.reason : row.unused ? `kept, not used: ${row.unused}` : row.outcome}</span></td>
  <td class="wide"><a class="row" href=${address("rows", { ...query, row: row.id })}><${Text}>${row.instruction || "(no text yet)"}<//></a></td>
  <td class="number">${row.similarity === null ? "" : row.similarity.toFixed(3)}</td>
  <td class="number">${row.cluster ?? ""}</td><td class="number">${row.at}.${row.place}</td></tr>`;

export function Rows({ run, live, query, runs }) {
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, query[name]]));
  const asked = api(run, "rows", wanted);
  const [list, set] = useState({ rows: [], before: null });
  const [error, fail] = useState();
  const [shownAt, setShownAt] = useState(0);
  const generated = live.status?.generated ?? 0;
  const facets = useFound(api(run, "facets", wanted), shownAt);
  useEffect(() => {
    let gone = false;
    get(asked).then((found) => { if (!gone) { set(found); fail(undefined); } }, (problem) => gone || fail(problem.message));
    return () => { gone = true; };
  }, [asked, shownAt]);
  // What comes in moves nothing under the reader's eyes, except while the first page is not full.
  useEffect(() => { if (!shownAt || list.rows.length < 50 || live.ended) setShownAt(generated); }, [generated, live.ended]);
  const more = () => get(api(run, "rows", { ...wanted, before: list.before.join(".") }))
    .then((found) => set({ rows: [...list.rows, ...found.rows].slice(-2000), before: found.before }), (problem) => fail(problem.message));
  const total = facets.found?.outcome.filter(({ value }) => query.outcome === undefined || value === query.outcome).reduce((sum, { rows }) => sum + rows, 0);
  const close = () => { location.hash = address("rows", { ...query, row: undefined }); };
  return html`<h1>Rows</h1><div class="with-side">
    <aside aria-label="Filters">
      <form onSubmit=${(event) => { event.preventDefault(); location.hash = address("rows", { ...query, row: undefined, search: new FormData(event.target).get("search") }); }}>
        <label>Search <input type="search" name="search" value=${query.search ?? ""} /></label>
        ${query.seed ? html`<p>Shown the seed <a href=${address("rows", { ...query, seed: undefined })}><${Text}>${query.seed}<//> ✕</a></p>` : null}
      </form>
      ${Object.keys(FACETS).map((name) => html`<${Facet} name=${name} values=${facets.found?.[name]} query=${query} />`)}
    </aside>
    <section>
      <${Fault} error=${error ?? facets.error} />
      <p role="status"><b id="total">${number(total)}</b> rows ${shownAt < generated && shownAt ? html`<button onClick=${() => setShownAt(generated)}>Show ${number(generated - shownAt)} new</button>` : null}</p>
      <div class="scroll"><table id="rows"><caption class="hidden">Rows, newest first</caption>
        <thead><tr><th scope="col">verdict</th><th scope="col">instruction</th><th scope="col" class="number">similarity</th><th scope="col" class="number">cluster</th><th scope="col" class="number">place</th></tr></thead>
        <tbody>${list.rows.map((row) => html`<${Row} key=${row.id} row=${row} query=${query} />`)}</tbody></table></div>
      ${list.before ? html`<button onClick=${more}>Older rows</button>` : null}
    </section>
    ${query.row ? html`<${Drawer} key=${query.row} run=${run} id=${query.row} query=${query} acts=${runs.acts} close=${close} />` : null}
  </div>`;
}
