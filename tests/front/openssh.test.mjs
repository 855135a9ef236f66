import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { webcrypto } from "node:crypto";
import { privateFile, publicLine } from "../../static/js/openssh.js";

async function pair(comment) {
  const keys = await webcrypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  const { d, x } = await webcrypto.subtle.exportKey("jwk", keys.privateKey);
  const [seed, pub] = [d, x].map((part) => new Uint8Array(Buffer.from(part, "base64url")));
  return { seed, pub, check: webcrypto.getRandomValues(new Uint8Array(4)), comment };
}

test("ssh-keygen reads the private key and finds the same public key", async () => {
  const folder = mkdtempSync(join(tmpdir(), "openssh-"));
  try {
    // Every length of comment, so that every length of padding is met.
    for (const comment of ["a", "alice", "alice@portal", "Ελένη", "", "1234567", "12345678"]) {
      const key = await pair(comment);
      const file = join(folder, "portal_ed25519");
      writeFileSync(file, privateFile(key), { mode: 0o600 });
      const said = execFileSync("ssh-keygen", ["-y", "-P", "", "-f", file], { encoding: "utf8" });
      assert.equal(said.trim(), publicLine(key.pub, comment).trim());
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
