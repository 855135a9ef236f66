// What an image is, told from its first and last bytes, and what it is called. No DOM here.

/** How a file that begins so is packed, as entries say it. */
export function packingOf(head) {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gz";
  if (head[0] === 0x42 && head[1] === 0x5a && head[2] === 0x68) return "bz2";
  if (head[0] === 0xfd && head[1] === 0x37 && head[2] === 0x7a && head[3] === 0x58) return "xz";
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return "zst";
  return "";
}

const words = (bytes, from, length) => String.fromCharCode(...bytes.subarray(from, from + length));
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Format and size of the disk in it (null: not told), of what is unpacked. */
export function formatOf(head, tail, size) {
  const big = (bytes, at) => (bytes.length >= at + 8 ? Number(view(bytes).getBigUint64(at)) : null);
  const little = (at) => (head.length >= at + 8 ? Number(view(head).getBigUint64(at, true)) : null);
  if (words(head, 0, 4) === "QFI\xfb") return { format: "qcow2", virtual: big(head, 24) };
  if (words(head, 0, 4) === "KDMV") return { format: "vmdk", virtual: little(12) * 512 };
  if (words(head, 0, 8) === "vhdxfile") return { format: "vhdx", virtual: null };
  if (words(head, 64, 4) === "\x7f\x10\xda\xbe") return { format: "vdi", virtual: little(368) };
  if (words(tail, 0, 8) === "conectix") return { format: "vpc", virtual: big(tail, 48) };
  return { format: "raw", virtual: size };
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** StratusLab's identifier: the SHA-1 as a number, in 27 digits of base 64. */
export function identifierOf(sha1) {
  let number = BigInt(`0x${sha1}`);
  let digits = "";
  for (let place = 0; place < 27; place += 1) {
    digits = ALPHABET[Number(number & 63n)] + digits;
    number >>= 6n;
  }
  return digits;
}

/** 1.5 GiB, 3 MiB, 512 bytes. */
export function inWords(bytes) {
  for (const [unit, step] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (bytes >= step) return `${Number((bytes / step).toFixed(2))} ${unit}`;
  }
  return `${bytes} bytes`;
}
