// The evaluations on the log, as `sedi eval report` has them.
import { api, Fault, html, Table, Text, useFound } from "./base.js";

export function Evaluation({ run, live }) {
  const { found, error, busy } = useFound(api(run, "evaluation"), live.ended);
  return html`<h1>Evaluation</h1><${Fault} error=${error} />
    ${found || error ? null : html`<p class="quiet" role="status">${busy ? "The evaluations are being read for another page." : "Reading the log."}</p>`}
    ${found && !found.tables.length ? html`<p class="quiet">Nothing of an evaluation is on the log. <code>sedi eval</code> makes some.</p>` : null}
    ${found?.tables.map((table) => html`<${Table} caption=${table.title} rows=${table.rows}
      columns=${table.head.map((name, place) => [name.replace(/^#/, ""), (row) => html`<${Text}>${row[place]}<//>`, name.startsWith("#") ? "number" : ""])} />`)}
    ${found?.notes.length ? html`<ul id="notes">${found.notes.map((note) => html`<li><${Text}>${note}<//></li>`)}</ul>` : null}`;
}
