// The story of one row, beside the list: what the index has at once, the rest when the log was read for it.
import { useEffect, useRef } from "preact/hooks";
import { Act } from "./act.js";
import { address, api, Fault, html, number, Pieces, Table, Text, useFound } from "./base.js";

const at = (place) => (place ? `${place.topic}/${place.partition}@${place.offset}` : "");
const Block = ({ title, children }) => html`<section><h3>${title}</h3>${children}</section>`;
const Long = ({ text }) => (text ? html`<pre tabindex="0"><${Text}>${text}<//></pre>` : html`<p class="quiet">Empty.</p>`);

const Beside = ({ mine, its, title, link, note }) => html`<${Block} title=${title}>
  <div class="beside"><div><h4>This</h4><p><${Pieces} of=${mine} /></p></div><div><h4>${link}</h4><p><${Pieces} of=${its} /></p></div></div>
  <p class="quiet">${note}</p><//>`;

function Whole({ story, query, run, acts }) {
  const { generation, verdict, nearest } = story;
  const to = (id) => html`<a href=${address("rows", { ...query, row: id })}><code>${id.slice(0, 8)}</code></a>`;
  return html`
    ${story.segment && acts.includes("withdraw-document") ? html`<p><${Act} run=${run} name="withdraw-document" title="Withdraw its document" given=${{ document: story.segment.document.id }} /></p>` : null}
    ${nearest && html`<${Beside} mine=${nearest.pieces} its=${nearest.its_pieces} title="Nearest before it" link=${nearest.kind === "kept" ? to(nearest.id) : html`Seed <${Text}>${nearest.id}<//>`}
      note=${`Similarity ${nearest.similarity.toFixed(4)} (threshold ${verdict.threshold}); ${nearest.lcs} tokens in common of ${nearest.tokens.join(" and ")}, marked.`} />`}
    <${Block} title="Rules"><ul class="rules">${story.rules.map((rule) => html`<li class=${rule.passed ? "" : "fault"}>${rule.passed ? "✓" : "✗"} ${rule.name}</li>`)}</ul>
      <p>Decided again: ${verdict.recomputed ?? "–"}${verdict.agrees === false ? html` <b class="fault">which is another verdict than the recorded one</b>` : ""} <span class="quiet">${at(verdict.at)}</span></p><//>
    ${story.answers.map((answer) => html`<${Block} title=${`Raw answer (${answer.holds})`}><pre tabindex="0"><${Pieces} of=${answer.pieces} /></pre><//>`)}
    <${Table} caption="Requests" rows=${generation.requests ?? []} columns=${[["request", (one) => html`<code>${(one.request_id ?? "").slice(0, 8)}</code>`], ["step", (one) => number(one.step), "number"],
      ["attempts", (one) => (one.attempts ?? []).map((attempt) => attempt.outcome ?? attempt.error ?? "").join(", ")]]} />
    <${Table} caption="Trained in" empty="In no batch so far." rows=${story.training} columns=${[["epoch", (one) => one.epoch, "number"], ["step", (one) => one.step, "number"], ["loss", (one) => number(one.loss), "number"],
      ["gradient norm", (one) => number(one.grad_norm), "number"], ["chosen", (one) => (one.chosen ? "yes" : "")], ["", (one) => at(one.at)]]} />
    <${Table} caption="As a candidate for a seed" empty="It was no candidate." rows=${story.candidacies} columns=${[["window", (one) => `${one.epoch}.${one.window}`], ["verdict", (one) => one.verdict],
      ["replaced", (one) => html`<${Text}>${one.replaced?.id ?? one.replaced?.victim_id ?? ""}<//>`], ["", (one) => at(one.at)]]} />
    ${story.judged.map((one) => html`<${Block} title="Judged"><p><b>${number(one.score)}</b> of ${one.most} by <${Text}>${one.judge}<//>: <${Text}>${one.reason}<//></p><//>`)}`;
}

export function Drawer({ run, id, query, acts, close }) {
  const box = useRef();
  const { found, error } = useFound(api(run, `rows/${encodeURIComponent(id)}`));
  const story = useFound(api(run, `rows/${encodeURIComponent(id)}/story`));
  useEffect(() => { box.current?.focus(); }, []);
  return html`<aside class="drawer" id="drawer" ref=${box} tabindex="-1" aria-label="The row" onKeyDown=${(event) => { if (event.key === "Escape") close(); }}>
    <button class="close" onClick=${close}>Close (Esc)</button>
    <${Fault} error=${error} />
    ${found && html`<h2><${Pieces} of=${found.pieces} /></h2>
      <p><span class=${`verdict ${found.outcome}`}>${found.outcome}</span> ${found.reason ?? ""} ${found.cluster === null ? "" : `cluster ${found.cluster}`}
        <span class="quiet">generation ${found.at}, place ${found.place}; model <${Text}>${found.model ?? "–"}<//>; lane <${Text}>${found.generated?.lane ?? "–"}<//></span></p>
      <p class="quiet"><code>${found.id}</code></p>
      ${found.its_pieces && html`<${Beside} mine=${found.pieces} its=${found.its_pieces} title="Too similar to"
        link=${html`<a href=${address("rows", { ...query, row: found.nearest })}><code>${found.nearest.slice(0, 8)}</code></a>`}
        note=${`Similarity ${found.similarity.toFixed(4)}, threshold ${found.threshold}.`} />`}
      ${found.input ? html`<${Block} title="Input"><${Long} text=${found.input} /><//>` : null}
      <${Block} title="Output"><${Long} text=${found.output} /><//>
      <${Block} title="Seeds shown"><ul>${found.seeds.map((seed) => html`<li><a href=${address("rows", { seed, run: query.run })}><${Text}>${seed}<//></a></li>`)}</ul><//>`}
    ${story.error ? html`<${Fault} error=${story.error} />` : story.found ? html`<div id="story"><${Whole} story=${story.found.instruction} query=${query} run=${run} acts=${acts} /></div>`
      : html`<p class="quiet" role="status">${story.busy ? "The log is being read for another row; this one is next." : "Reading the log for the whole story…"}</p>`}
  </aside>`;
}
