import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const OUT = join(import.meta.dirname, "../src/stentor/web/dist");
const FIRST_LOAD_LIMIT = 60_000;

/** Writes NAME.br and NAME.gz beside every text file of the build, for edges that only copy bytes. */
function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    closeBundle() {
      for (const name of readdirSync(OUT, { recursive: true, encoding: "utf8" })) {
        if (!/\.(html|js|css|svg)$/.test(name)) continue;
        const bytes = readFileSync(join(OUT, name));
        writeFileSync(
          join(OUT, `${name}.br`),
          brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
        );
        writeFileSync(join(OUT, `${name}.gz`), gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

/** Fails the build when the listener's page needs more than 60 kB (gzip) before it can play. */
function firstLoad(): Plugin {
  return {
    name: "first-load",
    apply: "build",
    closeBundle() {
      const size = firstLoadBytes(OUT, "index.html");
      const text = `first load of the listener's page: ${(size / 1000).toFixed(1)} kB gzip`;
      if (size > FIRST_LOAD_LIMIT) throw new Error(`${text}, more than ${FIRST_LOAD_LIMIT / 1000} kB`);
      this.info(text);
    },
  };
}

/** Adds up the page and everything it loads statically: scripts, their static imports, styles. */
function firstLoadBytes(folder: string, page: string): number {
  const seen = new Set<string>();
  const add = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const text = readFileSync(join(folder, name), "utf8");
    const links = name.endsWith(".html")
      ? [...text.matchAll(/(?:src|href)="\/(assets\/[^"]+\.(?:js|css))"/g)]
      : [...text.matchAll(/(?:from|import)\s*["']\.\/([^"']+\.js)["']/g)];
    for (const link of links) add(link[1]!.startsWith("assets/") ? link[1]! : `assets/${link[1]!}`);
  };
  add(page);
  return [...seen].reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name)), { level: 9 }).length, 0);
}

export default defineConfig({
  plugins: [compress(), firstLoad()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ["index.html", "stage.html"] },
  },
  test: { environment: "happy-dom", include: ["test/**/*.test.{ts,tsx}"] },
});
