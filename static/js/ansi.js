// What a serial line says, as runs of text with classes. Colours and weights are kept;
// every other control sequence is dropped, so nothing a guest prints can act on the page.

// eslint-disable-next-line no-control-regex
const TOKEN = /\x1b\[([0-9;:?]*)([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|\r\n|[\x00-\x1f\x7f-\x9f]/g;

const SWITCH = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse" };
const OFF = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"] };

/** Applies one "select graphic rendition"; `style` holds flags, fg and bg. */
export function paint(style, parameters) {
  const codes = parameters.split(/[;:]/).map(Number);
  const next = { ...style };
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    if (code === 0) for (const name of Object.keys(next)) delete next[name];
    else if (SWITCH[code]) next[SWITCH[code]] = true;
    else if (OFF[code]) for (const name of OFF[code]) delete next[name];
    else if (code >= 30 && code <= 37) next.fg = code - 30;
    else if (code >= 90 && code <= 97) next.fg = code - 82;
    else if (code >= 40 && code <= 47) next.bg = code - 40;
    else if (code >= 100 && code <= 107) next.bg = code - 100;
    else if (code === 39) delete next.fg;
    else if (code === 49) delete next.bg;
    else if (code === 38 || code === 48) {
      const plain = codes[at + 1] === 5 && codes[at + 2] < 16;
      if (plain) next[code === 38 ? "fg" : "bg"] = codes[at + 2] % (code === 38 ? 16 : 8);
      at += codes[at + 1] === 2 ? 4 : 2;
    }
  }
  return next;
}

export const classes = (style) =>
  Object.entries(style)
    .map(([name, value]) => (value === true ? name : `${name}-${value}`))
    .join(" ");

/** Drops what is on the last line: a lone carriage return starts it anew. */
function rewind(runs) {
  while (runs.length) {
    const run = runs.at(-1);
    const end = run.text.lastIndexOf("\n");
    if (end >= 0) {
      run.text = run.text.slice(0, end + 1);
      return;
    }
    runs.pop();
  }
}

function rub(runs) {
  const run = runs.at(-1);
  if (run && !run.text.endsWith("\n")) run.text = run.text.slice(0, -1);
}

/** `text` as [{text, classes}]. */
export function parse(text) {
  const runs = [];
  let style = {};
  let returned = false;
  const add = (piece) => {
    if (!piece) return;
    if (returned && piece !== "\n") rewind(runs);
    returned = false;
    const name = classes(style);
    if (runs.at(-1)?.classes === name) runs.at(-1).text += piece;
    else runs.push({ text: piece, classes: name });
  };
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    add(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === "m" && !match[1].includes("?")) style = paint(style, match[1]);
    else if (match[0] === "\r\n" || match[0] === "\n") add("\n");
    else if (match[0] === "\t") add("\t");
    else if (match[0] === "\r") returned = true;
    else if (match[0] === "\b") rub(runs);
  }
  add(text.slice(at));
  return runs;
}
