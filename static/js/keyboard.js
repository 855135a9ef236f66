// Characters as presses on a US keyboard, which is what a guest expects until told otherwise.
const PLAIN = {
  "`": "Backquote", "-": "Minus", "=": "Equal", "[": "BracketLeft", "]": "BracketRight", "\\": "Backslash",
  ";": "Semicolon", "'": "Quote", ",": "Comma", ".": "Period", "/": "Slash", " ": "Space",
};
const SHIFTED = {
  "~": "Backquote", _: "Minus", "+": "Equal", "{": "BracketLeft", "}": "BracketRight", "|": "Backslash",
  ":": "Semicolon", '"': "Quote", "<": "Comma", ">": "Period", "?": "Slash",
};
[..."!@#$%^&*()"].forEach((character, index) => (SHIFTED[character] = `Digit${(index + 1) % 10}`));

const CONTROL = { "\n": [0xff0d, "Enter"], "\r": [0xff0d, "Enter"], "\t": [0xff09, "Tab"] };
const SHIFT = [0xffe1, "ShiftLeft"];
const UNICODE = 0x01000000;

function key(character) {
  if (/[a-z]/.test(character)) return [`Key${character.toUpperCase()}`, false];
  if (/[A-Z]/.test(character)) return [`Key${character}`, true];
  if (/[0-9]/.test(character)) return [`Digit${character}`, false];
  if (SHIFTED[character]) return [SHIFTED[character], true];
  return [PLAIN[character] ?? null, false];
}

/** `character` as [keysym, code, isDown], in order. Source of keysyms: X11's keysymdef.h. */
export function keystrokes(character) {
  if (CONTROL[character]) return [[...CONTROL[character], true], [...CONTROL[character], false]];
  const point = character.codePointAt(0);
  const keysym = point < 0x100 ? point : UNICODE | point;
  const [code, needsShift] = key(character);
  const press = [[keysym, code, true], [keysym, code, false]];
  return needsShift ? [[...SHIFT, true], ...press, [...SHIFT, false]] : press;
}
