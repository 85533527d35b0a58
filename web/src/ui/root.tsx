/** Puts a page into the document, in the listener's language. */
import { type ComponentChildren, render } from "preact";
import { I18nContext, useLanguage } from "../i18n/i18n";

function Root({ children }: { children: ComponentChildren }) {
  return <I18nContext.Provider value={useLanguage()}>{children}</I18nContext.Provider>;
}

export function show(page: ComponentChildren): void {
  const app = document.getElementById("app");
  if (!app) return;
  app.textContent = "";
  render(<Root>{page}</Root>, app);
}
