// What the page that measures files says of them.
import assert from "node:assert/strict";
import test from "node:test";
import { formatOf, identifierOf, inWords, packingOf } from "../../static/js/measure-plan.js";

const bytes = (...parts) => Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...part].map((c) => c.charCodeAt(0)) : part)));

test("the identifier is StratusLab's", () => {
  assert.equal(identifierOf("f716f46361137f9814643484f16c4ab4656bb49b"), "PcW9GNhE3-YFGQ0hPFsSrRla7Sb");
  assert.equal(identifierOf("1104f3e30c030f8b93f220b04131032dddf51f21"), "BEE8-MMAw-Lk_IgsEExAy3d9R8h");
});

test("packing is told from the first bytes", () => {
  assert.equal(packingOf(bytes([0x1f, 0x8b, 8])), "gz");
  assert.equal(packingOf(bytes("BZh9")), "bz2");
  assert.equal(packingOf(bytes([0xfd], "7zXZ", [0])), "xz");
  assert.equal(packingOf(bytes([0x28, 0xb5, 0x2f, 0xfd])), "zst");
  assert.equal(packingOf(bytes("QFI")), "");
  assert.equal(packingOf(bytes()), "");
});

test("format and size of the disk are told from head and tail", () => {
  const none = bytes();
  const qcow2 = bytes("QFI", [0xfb], new Array(20).fill(0), [0, 0, 0, 0, 0, 0x30, 0, 0]);
  assert.deepEqual(formatOf(qcow2, none, 9), { format: "qcow2", virtual: 3 << 20 });
  const vhd = bytes("conectix", new Array(40).fill(0), [0, 0, 0, 0, 0, 0x30, 0, 0]);
  assert.deepEqual(formatOf(none, vhd, 9), { format: "vpc", virtual: 3 << 20 });
  assert.deepEqual(formatOf(bytes("anything"), none, 512), { format: "raw", virtual: 512 });
  assert.deepEqual(formatOf(bytes("QFI", [0xfb]), none, 4), { format: "qcow2", virtual: null });
});

test("sizes are said in words", () => {
  assert.equal(inWords(1.5 * 2 ** 30), "1.5 GiB");
  assert.equal(inWords(3 << 20), "3 MiB");
  assert.equal(inWords(17), "17 bytes");
});
