// The log by offset: the last records, what comes after them as it comes, and any one whole.
import { useEffect, useState } from "preact/hooks";
import { address, api, clock, Fault, get, html, Text, useFound } from "./base.js";

const MOST = 1000; // lines that are kept in the page; older ones are asked for again
const RUNS = ["run", "calls", "generated", "kept", "rejected", "answered", "judged", "training-log", "seed-commands"];

export const logTopics = (query) => query.topics ?? RUNS.join(",");
const key = (line) => `${line.topic}/${line.part}@${line.at}`;

/** What the log's page holds: its lines, the position after them, and whether it goes on. */
export function useLog(run, topics) {
  const [state, set] = useState({ lines: [], paused: false });
  const [error, fail] = useState();
  const shown = (found) => ({ run, topics, lines: found.lines, first: found.first, after: found.after, from: found.after });
  const load = (query) => get(api(run, "log", { topics, ...query }));
  useEffect(() => {
    set({ lines: [], paused: false });
    if (!run || topics === null) return;
    let gone = false;
    load({}).then((found) => gone || set({ ...shown(found), paused: false }),
      (problem) => gone || fail(problem.message));
    return () => { gone = true; };
  }, [run, topics]);
  return {
    ...state, error, topics,
    streaming: topics !== null && state.topics === topics && state.from !== undefined && !state.paused,
    take: (found) => set((last) => (last.paused ? last : { ...last, lines: [...last.lines, ...found.lines].slice(-MOST), after: found.after,
      first: last.lines.length + found.lines.length > MOST ? undefined : last.first })),
    pause: () => set((last) => ({ ...last, paused: true })),
    // Where older lines pushed out the newest, there is no place to go on from: the last lines are loaded again.
    resume: () => state.after !== undefined ? set((last) => ({ ...last, paused: false, from: last.after }))
      : load({}).then((found) => set((last) => (last.topics !== topics || last.run !== run ? last : { ...shown(found), paused: false })), (problem) => fail(problem.message)),
    older: () => load({ before: state.first }).then((found) => set((last) => ({ ...last, paused: true, after: last.lines.length + found.lines.length > MOST ? undefined : last.after,
      lines: [...found.lines, ...last.lines].slice(0, MOST), first: found.first })), (problem) => fail(problem.message)),
    at: (text) => load({ from: Number.isNaN(Date.parse(text)) || text.includes("/") ? text : Date.parse(text) }).then((found) => set((last) => ({ ...last, lines: found.lines, first: found.first, after: found.after, from: found.after, paused: true })),
      (problem) => fail(problem.message)),
  };
}

const Line = ({ line, query }) => html`<tr id=${key(line)} class=${line.error ? "bad" : line.repeated ? "repeated" : ""}>
  <td class="number">${clock(line.ms).slice(11)}</td>
  <td><a href=${address("log", { ...query, record: key(line) })}>${key(line)}</a></td>
  <td>${line.type ?? ""}${line.repeated ? " (repeat)" : ""}</td>
  <td class="wide"><${Text}>${line.error ? `cannot be read: ${line.error}` : line.summary}<//></td></tr>`;

function Whole({ run, name, close }) {
  const [, topic, part, at] = /^(.*)\/(\d+)@(\d+)$/.exec(name) ?? [];
  const { found, error } = useFound(topic ? api(run, "record", { topic, part, at }) : null);
  return html`<aside class="drawer" aria-label="The record" onKeyDown=${(event) => { if (event.key === "Escape") close(); }}>
    <button class="close" autofocus onClick=${close}>Close (Esc)</button><h2>${name}</h2><${Fault} error=${error} />
    ${found && html`<pre tabindex="0" id="record"><${Text}>${JSON.stringify(found, null, 2)}<//></pre>`}</aside>`;
}

export function Log({ run, query, runs, log }) {
  const chosen = new Set(logTopics(query).split(","));
  const choose = (topic) => {
    const next = runs.topics.filter((one) => (one === topic ? !chosen.has(one) : chosen.has(one)));
    location.hash = address("log", { ...query, record: undefined, topics: next.length ? next.join(",") : topic });
  };
  const close = () => { location.hash = address("log", { ...query, record: undefined }); };
  return html`<h1>Log</h1>
    <details class="topics"><summary>Topics: ${[...chosen].join(", ")}</summary>
      <div>${runs.topics.map((topic) => html`<label><input type="checkbox" checked=${chosen.has(topic)} onChange=${() => choose(topic)} /> ${topic}</label>`)}</div></details>
    <form class="inline" onSubmit=${(event) => { event.preventDefault(); log.at(new FormData(event.target).get("at")); }}>
      <button type="button" id="pause" aria-pressed=${log.paused} onClick=${log.paused ? log.resume : log.pause}>${log.paused ? "Go on" : "Pause"}</button>
      <button type="button" disabled=${!log.first} onClick=${log.older}>Older</button>
      <label>From <input name="at" placeholder="kept/0:120 or 2026-11-21 13:08" pattern="[a-z.\\-]+/[0-9]+:[0-9]+(,.*)?|[0-9]{4}-[0-9]{2}-[0-9]{2}.*" size="28" required /></label><button>Show</button>
    </form>
    <${Fault} error=${log.error} />
    <p class="quiet" role="status">${log.paused ? "Paused: nothing is lost, it goes on where it is." : `Following; the page keeps the last ${MOST} lines.`}</p>
    <div class="scroll"><table id="log"><caption class="hidden">Records, oldest first</caption>
      <thead><tr><th scope="col">time</th><th scope="col">record</th><th scope="col">event</th><th scope="col">what</th></tr></thead>
      <tbody>${log.lines.map((line) => html`<${Line} key=${key(line)} line=${line} query=${query} />`)}</tbody></table></div>
    ${query.record ? html`<${Whole} run=${run} name=${query.record} close=${close} />` : null}`;
}
