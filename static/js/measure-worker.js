// One checksum of one file, in a thread of its own: the file is read here, unpacked if it is
// gzip, and never sent anywhere. Each worker reads the file for itself; they run side by side.
import { md5, sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { packingOf } from "./measure-plan.js";

const HASHES = { md5, sha1, sha256, sha512 };
const TOLD_EVERY_MS = 150;
const HEAD_BYTES = 4096;
const TAIL_BYTES = 512;

/** Counts what is read of the file itself, packed as it is. */
function counted(file, tell) {
  let read = 0;
  let told = 0;
  return file.stream().pipeThrough(
    new TransformStream({
      transform(piece, out) {
        read += piece.byteLength;
        const now = performance.now();
        if (now - told > TOLD_EVERY_MS) {
          told = now;
          tell(read);
        }
        out.enqueue(piece);
      },
    }),
  );
}

function joined(head, piece, length) {
  if (head.length >= length) return head;
  const more = piece.subarray(0, length - head.length);
  const both = new Uint8Array(head.length + more.length);
  both.set(head);
  both.set(more, head.length);
  return both;
}

async function measure({ file, algorithm }) {
  const start = new Uint8Array(await file.slice(0, 16).arrayBuffer());
  const packing = packingOf(start);
  const tell = (read) => postMessage({ kind: "progress", algorithm, read });
  let stream = counted(file, tell);
  if (packing === "gz") stream = stream.pipeThrough(new DecompressionStream("gzip"));
  const digest = HASHES[algorithm].create();
  let [size, head, tail] = [0, new Uint8Array(), new Uint8Array()];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    digest.update(value);
    size += value.byteLength;
    head = joined(head, value, HEAD_BYTES);
    const both = value.byteLength >= TAIL_BYTES ? value : joined(tail, value, tail.length + value.byteLength);
    tail = both.slice(-TAIL_BYTES);
  }
  const sum = bytesToHex(digest.digest());
  postMessage({ kind: "done", algorithm, sum, size, packing, head, tail });
}

addEventListener("message", async ({ data }) => {
  try {
    await measure(data);
  } catch (error) {
    postMessage({ kind: "failed", algorithm: data.algorithm, reason: String(error?.message ?? error) });
  }
});
