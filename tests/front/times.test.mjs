import assert from "node:assert/strict";
import { test } from "node:test";
import { age } from "../../static/js/times.js";

const AGES = [2, 59, 60, 3599, 3600, 47 * 3600, 48 * 3600];

test("an age is said in its largest sensible unit", () => {
  const said = ["just now", "59 s ago", "1 min ago", "59 min ago", "1 h ago", "47 h ago", "2 days ago"];
  for (const style of [undefined, "en-GB", "en-US", "iso"])
    assert.deepEqual(AGES.map((seconds) => age(seconds, style)), said);
});

test("an age is said in the language that was chosen", () => {
  assert.equal(age(180, "de"), "vor 3 Min.");
  assert.match(age(47 * 3600, "fr"), /^il y a 47\sh$/);
  assert.match(age(30 * 86400, "es"), /30/);
});
