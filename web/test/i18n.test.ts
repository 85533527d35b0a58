import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ar } from "../src/i18n/ar";
import { en } from "../src/i18n/en";
import { I18n, LANGUAGES } from "../src/i18n/i18n";

const SOURCES = join(import.meta.dirname, "../src");

function sources(pattern: RegExp): { name: string; text: string }[] {
  return readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((name) => pattern.test(name))
    .map((name) => ({ name, text: readFileSync(join(SOURCES, name), "utf8") }));
}

describe("catalogues", () => {
  it("have the same keys", () => {
    expect(Object.keys(ar).sort()).toEqual(Object.keys(en).sort());
  });

  for (const { code, catalogue } of LANGUAGES) {
    it(`${code} has every plural form of its language, and no empty text`, () => {
      const forms = new Intl.PluralRules(code).resolvedOptions().pluralCategories.sort();
      for (const [key, entry] of Object.entries(catalogue)) {
        if (typeof entry === "string") expect(entry, key).not.toBe("");
        else expect(Object.keys(entry).sort(), key).toEqual(forms);
      }
    });
  }

  it("fill in the same names", () => {
    const names = (text: string) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();
    for (const [key, entry] of Object.entries(en)) {
      if (typeof entry === "string") expect(names(ar[key as keyof typeof en] as string), key).toEqual(names(entry));
    }
  });

  it("hold no text that no page uses", () => {
    const code = sources(/(?<!i18n\/(en|ar))\.tsx?$/)
      .map((file) => file.text)
      .join("\n");
    const built = [...code.matchAll(/`([a-z.-]+\.)\$\{[^}]+\}(\.[a-z]+)?`/g)].map((each) => ({
      head: each[1]!,
      tail: each[2] ?? "",
    }));
    const unused = Object.keys(en).filter(
      (key) =>
        !code.includes(`"${key}"`) && !built.some(({ head, tail }) => key.startsWith(head) && key.endsWith(tail)),
    );
    expect(unused).toEqual([]);
  });
});

describe("plural forms", () => {
  const arabic = new I18n("ar");

  it.each([
    [0, "لا مستمعين"],
    [1, "مستمع واحد"],
    [2, "مستمعان"],
    [3, "3 مستمعين"],
    [11, "11 مستمعًا"],
    [100, "100 مستمع"],
  ])("Arabic counts %i listeners", (count, text) => {
    const latin = arabic.n("rooms.listeners", count).replace(/[٠-٩]/g, (d) => String("٠١٢٣٤٥٦٧٨٩".indexOf(d)));
    expect(latin).toBe(text);
  });

  it("English counts listeners", () => {
    const english = new I18n("en");
    expect([0, 1, 1284].map((count) => english.n("rooms.listeners", count))).toEqual([
      "0 listeners",
      "1 listener",
      "1,284 listeners",
    ]);
  });
});

describe("styles", () => {
  it("name no left and no right, so that they hold in both directions", () => {
    const physical =
      /(?:^|[\s;{-])(?:left|right)\s*:|-(?:left|right)(?:-|:)|text-align:\s*(?:left|right)|[^-]width:|[^-]height:/;
    for (const { name, text } of sources(/\.css$/)) {
      for (const line of text.split("\n")) {
        if (/line-height|stroke-width|safe-area-inset/.test(line)) continue;
        expect(physical.test(line) ? `${name}: ${line}` : "").toBe("");
      }
    }
  });
});
