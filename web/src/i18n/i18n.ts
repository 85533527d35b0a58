/** The page's language: catalogue, plural forms, numbers, dates, direction. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { kept } from "../lib/storage";
import { Store, useStore } from "../lib/store";
import { ar } from "./ar";
import { en } from "./en";

export type Language = "en" | "ar";
export type Key = keyof typeof en;
type PluralForm = Intl.LDMLPluralRule;

export type PluralKey = { [K in Key]: (typeof en)[K] extends string ? never : K }[Key];
export type TextKey = Exclude<Key, PluralKey>;

/** A catalogue in a language with all six plural forms; one with fewer leaves the rest out. */
export type Catalogue = {
  readonly [K in Key]: K extends PluralKey ? Readonly<Record<PluralForm, string>> : string;
};

type Loose = Readonly<Record<Key, string | Readonly<Partial<Record<PluralForm, string>>>>>;

export const LANGUAGES: { code: Language; own: string; dir: "ltr" | "rtl"; catalogue: Loose }[] = [
  { code: "en", own: "English", dir: "ltr", catalogue: en },
  { code: "ar", own: "العربية", dir: "rtl", catalogue: ar },
];

export class I18n {
  readonly dir: "ltr" | "rtl";
  private readonly catalogue: Loose;
  private readonly plurals: Intl.PluralRules;
  private readonly numbers: Intl.NumberFormat;

  constructor(readonly language: Language) {
    const found = LANGUAGES.find((each) => each.code === language) ?? LANGUAGES[0]!;
    this.dir = found.dir;
    this.catalogue = found.catalogue;
    this.plurals = new Intl.PluralRules(language);
    this.numbers = new Intl.NumberFormat(language);
  }

  /** A text, with `{name}` filled in. A word of a newer server that this page does not know is shown as it came. */
  readonly t = (key: TextKey, values: Record<string, string | number> = {}): string => {
    const text = this.catalogue[key] as string | undefined;
    return this.fill(text ?? key.slice(key.lastIndexOf(".") + 1), values);
  };

  /** The plural form of a count. */
  readonly n = (key: PluralKey, count: number): string => {
    const forms = this.catalogue[key] as Partial<Record<PluralForm, string>>;
    return this.fill(forms[this.plurals.select(count)] ?? forms.other ?? "", { count });
  };

  readonly number = (value: number, digits = 0): string => {
    if (digits === 0) return this.numbers.format(value);
    return new Intl.NumberFormat(this.language, {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    }).format(value);
  };

  /** A day and time on the wall clock of a zone, with the zone's name. */
  readonly moment = (instant: number, zone?: string): string => {
    return new Intl.DateTimeFormat(this.language, {
      weekday: "short",
      day: "numeric",
      month: "short",
      hour: "numeric",
      minute: "2-digit",
      timeZoneName: "short",
      timeZone: zone,
    }).format(instant);
  };

  readonly day = (instant: number): string => {
    return new Intl.DateTimeFormat(this.language, { dateStyle: "long" }).format(instant);
  };

  /** A language's name in this language. */
  readonly languageName = (code: string): string => {
    try {
      return new Intl.DisplayNames(this.language, { type: "language" }).of(code) ?? code;
    } catch {
      return code;
    }
  };

  private fill(text: string, values: Record<string, string | number>): string {
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name];
      if (value === undefined) return whole;
      return typeof value === "number" ? this.number(value) : value;
    });
  }
}

function firstLanguage(): Language {
  const wanted = [kept.get("language") ?? "", ...navigator.languages];
  for (const tag of wanted) {
    const found = LANGUAGES.find((each) => each.code === tag.split("-")[0]);
    if (found) return found.code;
  }
  return "en";
}

export const language = new Store<I18n>(new I18n(firstLanguage()));

/** Sets the language of the page and remembers it. */
export function setLanguage(code: Language): void {
  kept.set("language", code);
  language.set(new I18n(code));
}

function applyToPage(): void {
  document.documentElement.lang = language.get().language;
  document.documentElement.dir = language.get().dir;
}

applyToPage();
language.watch(applyToPage);

export const I18nContext = createContext<I18n>(language.get());

export function useI18n(): I18n {
  return useContext(I18nContext);
}

export function useLanguage(): I18n {
  return useStore(language);
}
