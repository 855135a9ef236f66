import assert from "node:assert/strict";
import { test } from "node:test";
import * as plan from "../../static/js/upload-plan.js";

test("a tag comes from the file's name, without what says how it is packed", () => {
  assert.equal(plan.tagFrom("debian-12.img.xz"), "debian-12");
  assert.equal(plan.tagFrom("results.QCOW2"), "results");
  assert.equal(plan.tagFrom("notes.v2.raw"), "notes.v2");
  assert.equal(plan.tagFrom(".img"), ".img");
  assert.equal(plan.tagFrom(`${"é".repeat(50)}.iso`), "é".repeat(40));
});

test("sizes are said in the largest sensible unit", () => {
  const said = [0, 512, 1536, 300 * 2 ** 20, 12 * 2 ** 30, 1.25 * 2 ** 40].map(plan.size);
  assert.deepEqual(said, ["0 GiB", "512 bytes", "1.5 KiB", "300 MiB", "12 GiB", "1280 GiB"]);
});

test("the time left is rounded to what one can do in it", () => {
  const said = [0.2, 59, 61, 3599, 7800, 4 * 86400, Infinity].map(plan.timeLeft);
  assert.deepEqual(said, ["1 s left", "59 s left", "1 min left", "1 h 0 min left", "2 h 10 min left", "4 days left", ""]);
});

test("a rate is that of the last seconds", () => {
  const rate = new plan.Rate();
  assert.equal(rate.perSecond, 0);
  for (let second = 0; second <= 60; second += 1) rate.add(second < 30 ? second * 100 : 3000 + (second - 30) * 10, second * 1000);
  assert.equal(rate.perSecond, 10);
  assert.equal(rate.left(3400), 10);
  rate.reset();
  assert.equal(rate.left(3400), Infinity);
});

test("quarters are said once, and the end is said by the disk", () => {
  assert.equal(plan.quarter(0, 24, 100), 0);
  assert.equal(plan.quarter(24, 26, 100), 25);
  assert.equal(plan.quarter(26, 27, 100), 0);
  assert.equal(plan.quarter(10, 80, 100), 75);
  assert.equal(plan.quarter(80, 100, 100), 0);
});

test("two are sent at a time, the others wait for their turn", () => {
  const uploads = ["sending", "queued", "paused", "queued", "draft"].map((phase, n) => ({ phase, n }));
  assert.deepEqual(plan.next(uploads).map(({ n }) => n), [1]);
  uploads[1].phase = "sending";
  assert.deepEqual(plan.next(uploads), []);
  uploads[0].phase = "over";
  assert.deepEqual(plan.next(uploads).map(({ n }) => n), [3]);
});

test("an unfinished upload is known by the file's name and size", () => {
  const unfinished = [{ name: "a.img", size: 5 }, { name: "a.img", size: 6 }];
  assert.equal(plan.match({ name: "a.img", size: 6 }, unfinished), unfinished[1]);
  assert.equal(plan.match({ name: "a.img", size: 7 }, unfinished), undefined);
  assert.equal(plan.match({ name: "b.img", size: 5 }, unfinished), undefined);
});

test("what is compared is the beginning, and the end of what came", async () => {
  const bytes = Uint8Array.from({ length: 3 * plan.COMPARED }, (_, at) => at >> 16);
  const file = new Blob([bytes]);
  const sent = async (offset) => new Uint8Array(await plan.ends(file, offset).arrayBuffer());
  assert.equal((await sent(0)).length, 0);
  assert.deepEqual([...(await sent(3))], [0, 0, 0, 0, 0, 0]);
  const at = 2.5 * plan.COMPARED;
  const both = await sent(at);
  assert.equal(both.length, 2 * plan.COMPARED);
  assert.equal(both[plan.COMPARED], bytes[at - plan.COMPARED]);
  assert.equal(both.at(-1), bytes[at - 1]);
});

test("a refusal is told in the portal's own words", () => {
  assert.equal(plan.sentence(403, "Your disk quota is 100 GiB.\n"), "Your disk quota is 100 GiB.");
  assert.equal(plan.sentence(403, '{"code": "x", "detail": "Agree first."}'), "Agree first.");
  assert.equal(plan.sentence(502, "<html>Bad gateway</html>"), "");
  assert.match(plan.sentence(401, "whatever"), /Sign in again/);
});

test("what passes by itself is tried again, what does not is told", () => {
  for (const status of [0, 408, 409, 423, 500, 502, 507]) assert.ok(plan.isPassing(status), status);
  for (const status of [400, 401, 403, 404, 410, 413, 415, 460]) assert.ok(!plan.isPassing(status), status);
  const patience_ms = plan.PAUSES_MS.reduce((sum, pause) => sum + pause);
  assert.ok(patience_ms > 2 * 3600_000);
});

test("a file that cannot be taken is known before it is sent", () => {
  const limits = { largest: 2 ** 40, left: 2 ** 30 };
  assert.equal(plan.obstacle({ size: 2 ** 30 }, limits), "");
  assert.match(plan.obstacle({ size: 2 ** 30 + 1 }, limits), /of your quota; 1 GiB are left/);
  assert.match(plan.obstacle({ size: 2 ** 41 }, limits), /may have 1024 GiB/);
  assert.match(plan.obstacle({ size: 0 }, limits), /empty/);
});
