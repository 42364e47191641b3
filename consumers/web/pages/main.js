// The page: which run, which part of it, and whether what it shows is up to date.
import { render } from "preact";
import { useRef, useState } from "preact/hooks";
import { address, html, number, Text, useFound, useWhere, Fault } from "./base.js";
import { useLive } from "./live.js";
import { Calls } from "./calls.js";
import { Evaluation } from "./evaluation.js";
import { Log, logTopics, useLog } from "./log.js";
import { RowMap } from "./map.js";
import { Overview } from "./overview.js";
import { Rows } from "./rows.js";
import { Runs } from "./runs.js";
import { Seeds } from "./seeds.js";
import { Training } from "./training.js";
import { WhatIf } from "./whatif.js";

const PAGES = { overview: ["Overview", Overview], rows: ["Rows", Rows], map: ["Map", RowMap], log: ["Log", Log], seeds: ["Seeds", Seeds],
  training: ["Training", Training], calls: ["Calls", Calls], evaluation: ["Evaluation", Evaluation], "what-if": ["What if", WhatIf], runs: ["Runs", Runs] };

function Banner({ live }) {
  if (!live.reached) return html`<p class="banner" role="alert" id="banner">The page's server does not answer. What is shown is as it was; it goes on when the server is back.</p>`;
  if (live.connected === false) return html`<p class="banner" role="alert" id="banner">${live.ended ? "Reading has ended: " : "The log cannot be read now; what is shown is as it was. "}${live.detail}</p>`;
  if (live.status && live.behind > 1000) return html`<p class="banner mild" role="status" id="banner">Reading the log: ${number(live.behind)} records to go.</p>`;
  return null;
}

function Page() {
  const { page, query } = useWhere();
  const { found, error } = useFound("api/runs");
  const names = found?.runs.map((one) => one.name) ?? [];
  const run = names.includes(query.run) ? query.run : names[0];
  const key = page in PAGES ? page : "overview";
  const log = useLog(run, key === "log" ? logTopics(query) : null);
  const live = useLive(run, log.streaming ? log.topics : null, log.from, log.take);
  const [, Shown] = PAGES[key];
  const evaluated = found?.runs.some((one) => one.name === run && one.evaluated) || key === "evaluation";
  const to = (name) => address(name, run === names[0] ? {} : { run });
  return html`
    <a class="skip" href=${location.hash || "#overview"} onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
    <header>
      <strong>sedi</strong> <span id="run"><${Text}>${run ?? ""}<//></span>
      <nav aria-label="Pages">${Object.entries(PAGES).filter(([name]) => name !== "evaluation" || evaluated).map(([name, [title]]) => html`<a href=${to(name)} aria-current=${name === key ? "page" : undefined}>${title}</a>`)}</nav>
      <span class="quiet" id="state">${state(live)}</span>
    </header>
    <${Banner} live=${live} />
    <main id="main" tabindex="-1"><${Fault} error=${error} />
      ${run && html`<${Shown} key=${`${run} ${key}`} run=${run} live=${live} query=${query} runs=${found} log=${log} />`}
    </main>`;
}

const state = (live) =>
  !live.reached || live.connected === false ? "not up to date"
  : !live.status ? "reading"
  : live.ended ? "archive, read to its end" : "live";

render(html`<${Page} />`, document.getElementById("page"));
