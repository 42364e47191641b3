// What every part of the page uses: elements, texts made visible, requests, numbers, addresses.
import { h } from "preact";
import { useEffect, useState } from "preact/hooks";
import htm from "htm";

export const html = htm.bind(h);

const CONTROLS =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** The text with control characters, and those that turn the direction of text, as escapes. */
export const visible = (text) =>
  text.replace(CONTROLS, (found) => {
    const code = found.charCodeAt(0).toString(16);
    return found.charCodeAt(0) < 256 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
  });

/** JSON whose every text can be shown. What goes back to the server (ids, names) holds no such characters. */
export const parse = (text) => JSON.parse(text, (_, value) => (typeof value === "string" ? visible(value) : value));

export async function get(path, signal) {
  const answer = await fetch(path, { signal });
  const found = parse(await answer.text());
  if (!answer.ok || answer.status === 202) throw Object.assign(new Error(found.error ?? `${answer.status}`), { busy: found.busy === true });
  return found;
}

/** Asks for an act; what follows, in sentences. Without `confirmed` nothing is done. */
export async function act(run, name, given, confirmed) {
  const answer = await fetch(api(run, `acts/${name}`), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ arguments: given, confirmed }) });
  const text = await answer.text();
  if (!answer.ok || answer.status === 202) throw new Error(answer.headers.get("content-type")?.startsWith("application/json") ? parse(text).error : visible(text));
  return parse(text).follows;
}

/** What is at a path, asked for again when the path or `again` changes: {found, error, busy}. The last is kept
 * meanwhile. While the server is busy with another one, it is asked again every second; what nobody waits for is aborted. */
export function useFound(path, again) {
  const [state, set] = useState({});
  useEffect(() => {
    if (path === null) return set({});
    let gone = false, timer;
    const stop = new AbortController();
    const keep = (next) => gone || set((last) => ({ path, found: last.path === path ? last.found : undefined, ...next }));
    const ask = () => get(path, stop.signal).then((found) => keep({ found, error: undefined, busy: false }), (error) => {
      if (error.busy && !gone) timer = setTimeout(ask, 1000);
      keep(error.busy ? { busy: true } : { error: error.message, busy: false });
    });
    ask();
    return () => { gone = true; clearTimeout(timer); stop.abort(); };
  }, [path, again]);
  return state.path === path ? state : {};
}

export const api = (run, path, query = {}) => {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const asked = new URLSearchParams(given).toString();
  return `api/runs/${encodeURIComponent(run)}/${path}${asked && `?${asked}`}`;
};

export const number = (value) =>
  value === null || value === undefined ? "–"
  : Number.isInteger(value) ? value.toLocaleString("en-US")
  : Math.abs(value) >= 0.001 && Math.abs(value) < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
export const share = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);
export const dollars = (cost) =>
  cost.usd !== null ? `$${cost.usd.toFixed(4)}`
  : cost.known_usd ? `unknown (at least $${cost.known_usd.toFixed(4)})` : "unknown";
export const clock = (ms) => (ms === null || ms === undefined ? "–" : new Date(ms).toLocaleString("sv-SE"));

/** The page's address is #PAGE?name=value: what is shown is in it, so it can be kept and sent. */
export const where = () => {
  const [page, query] = location.hash.slice(1).split("?");
  return { page: page || "overview", query: Object.fromEntries(new URLSearchParams(query)) };
};
export const address = (page, query = {}) => {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  return `#${page}${asked.size ? `?${asked}` : ""}`;
};
export function useWhere() {
  const [now, set] = useState(where());
  useEffect(() => {
    const moved = () => set(where());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return now;
}

/** An id, short where it is a UUID. */
export const Id = ({ id }) => html`<bdi class="text" title=${id}>${/^[0-9a-f-]{36}$/.test(id) ? id.slice(0, 8) : id}</bdi>`;

/** A text of others: what is right to left in it turns nothing around it. */
export const Text = ({ children }) => html`<bdi class="text">${children}</bdi>`;
export const Pieces = ({ of }) => html`<bdi class="text">${of.map(([text, marked]) => (marked ? html`<mark>${text}</mark>` : text))}</bdi>`;
export const Fault = ({ error }) => (error ? html`<p class="fault" role="alert">${error}</p>` : null);

/** A table; columns are [title, cell of a row, "number" for right-aligned]. */
export const Table = ({ rows, columns, caption, empty = "None." }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table><caption>${caption}</caption>
      <thead><tr>${columns.map(([title, , kind]) => html`<th scope="col" class=${kind}>${title}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${columns.map(([, cell, kind]) => html`<td class=${kind}>${cell(row)}</td>`)}</tr>`)}</tbody>
    </table>
    ${rows.length ? null : html`<p class="quiet">${empty}</p>`}
  </div>`;
