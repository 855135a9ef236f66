import assert from "node:assert/strict";
import { test } from "node:test";
import { age } from "../../static/js/times.js";

test("an age is said in its largest sensible unit", () => {
  assert.deepEqual([2, 59, 60, 3599, 3600, 47 * 3600, 48 * 3600].map(age), [
    "just now", "59 s ago", "1 min ago", "59 min ago", "1 h ago", "47 h ago", "2 days ago",
  ]);
});
