import assert from "node:assert/strict";
import { test } from "node:test";
import { keystrokes } from "../../static/js/keyboard.js";

test("a capital letter is its key between the two moves of Shift", () => {
  assert.deepEqual(keystrokes("A"), [
    [0xffe1, "ShiftLeft", true],
    [0x41, "KeyA", true],
    [0x41, "KeyA", false],
    [0xffe1, "ShiftLeft", false],
  ]);
});

test("every printable character of ASCII has a key", () => {
  for (let point = 0x20; point < 0x7f; point++) {
    const [, code] = keystrokes(String.fromCharCode(point)).find(([keysym]) => keysym === point);
    assert.ok(code, String.fromCharCode(point));
  }
});

test("the end of a line is Enter, and other scripts go as Unicode", () => {
  assert.deepEqual(keystrokes("\n")[0], [0xff0d, "Enter", true]);
  assert.deepEqual(keystrokes("λ")[0], [0x010003bb, null, true]);
  assert.deepEqual(keystrokes("ü")[0], [0xfc, null, true]);
});
