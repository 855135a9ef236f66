// Bundles static/js and static/css into static/dist. `--watch` keeps rebuilding.
import { context } from "esbuild";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const dist = path.join(root, "static/dist");
const shared = { absWorkingDir: root, bundle: true, minify: true, target: "es2022", logLevel: "info" };

// The style sheets are joined here and not by @import inside static/css: collectstatic
// would try to resolve such an import among the static files and fail.
const sheets = [
  "bootstrap/dist/css/bootstrap.css",
  "@xterm/xterm/css/xterm.css",
  "uplot/dist/uPlot.min.css",
  "./static/css/tokens.css",
  "./static/css/bootstrap.css",
  "./static/css/shell.css",
  "./static/css/components.css",
  "./static/css/tables.css",
  "./static/css/queue.css",
  "./static/css/audit.css",
  "./static/css/pages.css",
  "./static/css/security.css",
  "./static/css/machine.css",
  "./static/css/plugs.css",
  "./static/css/context.css",
  "./static/css/disks.css",
  "./static/css/console.css",
  "./static/css/uploads.css",
  "./static/css/drafts.css",
  "./static/css/catalogue.css",
  "./static/css/notifications.css",
];

const builds = [
  {
    stdin: {
      contents: sheets.map((sheet) => `@import "${sheet}";`).join("\n"),
      loader: "css",
      resolveDir: root,
      sourcefile: "app.css",
    },
    outfile: path.join(dist, "app.css"),
  },
  {
    entryPoints: ["app", "console", "charts", "metadata-upload", "uploads", "measure", "measure-worker"].map((name) => `static/js/${name}.js`),
    outdir: dist,
    format: "esm",
  },
  // Runs before the first paint, so it is a classic script that blocks.
  { entryPoints: ["static/js/theme.js"], outdir: dist, format: "iife" },
];

await rm(dist, { recursive: true, force: true });
for (const build of builds) {
  const bundle = await context({ ...shared, ...build });
  if (process.argv.includes("--watch")) await bundle.watch();
  else await bundle.rebuild().finally(() => bundle.dispose());
}
