import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "../../static/js/ansi.js";

const words = (text) => parse(text).map(({ text: word, classes }) => [word, classes]);

test("colours and weights become classes", () => {
  assert.deepEqual(words("\x1b[32m[  OK  ]\x1b[0m Started"), [["[  OK  ]", "fg-2"], [" Started", ""]]);
  assert.deepEqual(words("\x1b[1;91mno\x1b[22;39m!"), [["no", "bold fg-9"], ["!", ""]]);
  assert.deepEqual(words("\x1b[38;5;196mx\x1b[48;2;1;2;3;4my"), [["x", ""], ["y", "underline"]]);
  assert.deepEqual(words("\x1b[mplain"), [["plain", ""]]);
});

test("what would act on a terminal is dropped", () => {
  assert.deepEqual(words("\x1b]52;c;aGk=\x07a\x1b]8;;http://x\x1b\\b\x1b[2J\x1b[?25lc\x1b(Bd\x00e"), [["abcde", ""]]);
});

test("markup stays text", () => {
  assert.deepEqual(words("<script>alert(1)</script>"), [["<script>alert(1)</script>", ""]]);
});

test("a lone carriage return starts the line anew, an end of line does not", () => {
  assert.deepEqual(words("one\r\n10%\r\x1b[1m100%\x1b[0m\r\nend"), [["one\n", ""], ["100%", "bold"], ["\nend", ""]]);
  assert.deepEqual(words("ab\b\bc"), [["c", ""]]);
});

test("half a sequence at the end of the text is not shown", () => {
  assert.deepEqual(words("text\x1b"), [["text", ""]]);
});
