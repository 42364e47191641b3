// Files that the page saves: any blob, and plots as CSV, PNG and SVG.
const WIDTH = 900, HEIGHT = 420, LEFT = 70, RIGHT = 70, TOP = 40, BOTTOM = 50, TICKS = 5;

export function saved(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

export const fileName = (title, ending) => `${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}.${ending}`;

export const plotCsv = (x, xLabel, lines) => {
  const head = [xLabel, ...lines.map((line) => line.label)];
  const rows = x.map((value, place) => [value, ...lines.map((line) => line.values[place] ?? "")]);
  return new Blob([[head, ...rows].map((row) => row.join(",")).join("\n")], { type: "text/csv" });
};

/** The drawn plot with its title above it; calls `done` with the file. */
export function plotPng(canvas, title, colour, done) {
  const head = 28 * (devicePixelRatio || 1);
  const whole = document.createElement("canvas");
  whole.width = canvas.width;
  whole.height = canvas.height + head;
  const paint = whole.getContext("2d");
  paint.fillStyle = colour("--paper");
  paint.fillRect(0, 0, whole.width, whole.height);
  paint.fillStyle = colour("--ink");
  paint.font = `600 ${head / 2}px sans-serif`;
  paint.fillText(title, head / 2, head * 0.7);
  paint.drawImage(canvas, 0, head);
  whole.toBlob(done);
}

const range = (values) => {
  const known = values.filter((value) => value !== null && value !== undefined);
  const least = Math.min(...known), most = Math.max(...known);
  return most > least ? [least, most] : [least - 1, least + 1];
};

/** The plot drawn anew as SVG: axes with units, lines, legend. */
export function plotSvg({ title, x, xLabel, time, lines, colour }) {
  const names = ["--one", "--two", "--three"], drawing = document.implementation.createDocument("http://www.w3.org/2000/svg", "svg");
  const add = (parent, name, given, text) => {
    const node = drawing.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(given)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return parent.appendChild(node);
  };
  const root = drawing.documentElement, grey = colour("--line"), ink = colour("--ink");
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "font-family": "sans-serif", "font-size": 12 })) root.setAttribute(key, value);
  add(root, "rect", { width: WIDTH, height: HEIGHT, fill: colour("--paper") });
  add(root, "text", { x: LEFT, y: 20, fill: ink, "font-weight": 600 }, title);
  const [first, last] = range(x), across = (value) => LEFT + ((value - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const scales = [...new Set(lines.map((line) => line.scale ?? "y"))];
  const ticks = ([least, most]) => Array.from({ length: TICKS + 1 }, (_, nth) => least + (nth * (most - least)) / TICKS);
  const short = (value) => (Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4))));
  for (const value of ticks([first, last]))
    add(root, "text", { x: across(value), y: HEIGHT - BOTTOM + 16, fill: ink, "text-anchor": "middle" }, time ? new Date(value).toLocaleTimeString("sv-SE") : short(value));
  add(root, "text", { x: WIDTH / 2, y: HEIGHT - 12, fill: ink, "text-anchor": "middle" }, xLabel);
  scales.slice(0, 2).forEach((scale, side) => {
    const own = lines.filter((line) => (line.scale ?? "y") === scale), bounds = range(own.flatMap((line) => line.values));
    const up = (value) => HEIGHT - BOTTOM - ((value - bounds[0]) / (bounds[1] - bounds[0])) * (HEIGHT - TOP - BOTTOM);
    for (const value of ticks(bounds)) {
      if (!side) add(root, "line", { x1: LEFT, x2: WIDTH - RIGHT, y1: up(value), y2: up(value), stroke: grey });
      add(root, "text", { x: side ? WIDTH - RIGHT + 6 : LEFT - 6, y: up(value) + 4, fill: ink, "text-anchor": side ? "start" : "end" }, short(value));
    }
    for (const line of own) {
      const stroke = colour(names[lines.indexOf(line) % names.length]);
      let path = "";
      line.values.forEach((value, place) => { if (value !== null && value !== undefined) path += `${path ? "L" : "M"}${across(x[place]).toFixed(1)} ${up(value).toFixed(1)}`; });
      add(root, "path", { d: path, fill: "none", stroke, "stroke-width": 1.5 });
      add(root, "text", { x: LEFT + 180 * (1 + lines.indexOf(line)), y: 20, fill: stroke }, line.unit ? `${line.label} (${line.unit})` : line.label);
    }
  });
  return new Blob([new XMLSerializer().serializeToString(drawing)], { type: "image/svg+xml" });
}
