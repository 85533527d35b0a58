/** Small pieces that every page uses. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { RoomState } from "../api/types";
import { LANGUAGES, setLanguage, useI18n } from "../i18n/i18n";
import { Icon, type IconName } from "./icons";

/** A room that was not recorded is over, but there is no replay. */
export function StatePill({ state, recorded = true }: { state: RoomState; recorded?: boolean }) {
  const { t } = useI18n();
  const shown = state === "published" && !recorded ? "ended" : state;
  return (
    <span class={`pill pill-${shown}`} data-testid="room-state" data-state={state}>
      {t(`state.${shown}`)}
    </span>
  );
}

interface ButtonProps {
  children: ComponentChildren;
  onClick?: () => void;
  icon?: IconName;
  kind?: "primary" | "danger" | "plain" | "quiet" | "muted";
  type?: "button" | "submit";
  disabled?: boolean;
  testid?: string;
  label?: string;
  pressed?: boolean;
}

export function Button({ children, onClick, icon, kind = "plain", type = "button", ...rest }: ButtonProps) {
  return (
    <button
      type={type}
      class={`button button-${kind}`}
      onClick={onClick}
      disabled={rest.disabled}
      data-testid={rest.testid}
      aria-label={rest.label}
      aria-pressed={rest.pressed}
    >
      {icon && <Icon name={icon} size={20} />}
      {children}
    </button>
  );
}

/** A button that is only an icon; `label` is its name. */
export function IconButton(props: Omit<ButtonProps, "children"> & { icon: IconName; label: string }) {
  const { kind = "quiet" } = props;
  return (
    <button
      type="button"
      class={`icon-button button-${kind}`}
      onClick={props.onClick}
      disabled={props.disabled}
      data-testid={props.testid}
      aria-label={props.label}
      aria-pressed={props.pressed}
      title={props.label}
    >
      <Icon name={props.icon} size={22} />
    </button>
  );
}

export function CopyButton({ text, testid }: { text: string; testid?: string }) {
  const { t } = useI18n();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2_000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    void copyText(text).then(setCopied);
  };
  return (
    <Button onClick={copy} icon={copied ? "check" : "copy"} testid={testid}>
      <span aria-live="polite">{copied ? t("app.copied") : t("app.copy")}</span>
    </Button>
  );
}

/** Copies, also on pages that are not secure, where there is no clipboard API. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Shares by the system's sheet where there is one. */
export function ShareButton({ url, title }: { url: string; title: string }) {
  const { t } = useI18n();
  if (typeof navigator.share !== "function") return null;
  const share = () => {
    navigator.share({ url, title }).catch(() => undefined);
  };
  return (
    <Button onClick={share} icon="share">
      {t("app.share")}
    </Button>
  );
}

function LanguageSwitch() {
  const { t, language } = useI18n();
  return (
    <div class="language" role="group" aria-label={t("app.language")}>
      {LANGUAGES.map((each) => (
        <button
          key={each.code}
          type="button"
          lang={each.code}
          aria-pressed={each.code === language}
          onClick={() => setLanguage(each.code)}
          data-testid={`language-${each.code}`}
        >
          {each.own}
        </button>
      ))}
    </div>
  );
}

/** The frame of every page: header, main, language; listeners' pages have a foot. */
interface PageProps {
  children: ComponentChildren;
  home: boolean;
  wide?: boolean;
  foot?: ComponentChildren;
}

export function Page({ children, home, wide, foot }: PageProps) {
  const { t } = useI18n();
  return (
    <div class={`page ${wide ? "page-wide" : ""}`}>
      <a class="skip" href="#content">
        {t("app.skip")}
      </a>
      <header class="top">
        <a class="brand" href="/" aria-label={home ? undefined : `${t("app.name")}: ${t("app.rooms")}`}>
          <span class="brand-mark" aria-hidden="true">
            <i />
            <i />
            <i />
            <i />
            <i />
          </span>
          {t("app.name")}
        </a>
        <LanguageSwitch />
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
      {foot}
    </div>
  );
}

interface SwitchProps {
  label: string;
  hint?: string;
  checked: boolean;
  onChange: (on: boolean) => void;
  testid?: string;
}

/** On or off, with what it does. */
export function Switch({ label, hint, checked, onChange, testid }: SwitchProps) {
  return (
    <label class="switch">
      <input
        type="checkbox"
        role="switch"
        checked={checked}
        onChange={(event) => onChange(event.currentTarget.checked)}
        data-testid={testid}
      />
      <span>
        {label}
        {hint && <small>{hint}</small>}
      </span>
    </label>
  );
}

/** A page that is one message. */
export function Message(props: { title: string; text: string; testid: string; children?: ComponentChildren }) {
  return (
    <section class="card message" data-testid={props.testid} role="status">
      <h1>{props.title}</h1>
      <p>{props.text}</p>
      {props.children}
    </section>
  );
}

/** Why what was asked for did not happen, where it was asked. */
export function Alert({ text }: { text: string | null }) {
  return text ? (
    <p class="notice" role="alert">
      {text}
    </p>
  ) : null;
}

/** A person's initials on a colour of their own. */
export function Avatar({ name, speaking, muted }: { name: string; speaking: boolean; muted: boolean }) {
  const words = name.trim().split(/\s+/);
  const letters = [words[0], words.length > 1 ? words.at(-1) : ""]
    .map((word) => [...(word ?? "")][0] ?? "")
    .join("\u200c");
  const hue = [...name].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973, 7) % 6;
  return (
    <span class={`avatar avatar-${hue} ${speaking ? "avatar-speaking" : ""}`} aria-hidden="true">
      {letters.toUpperCase()}
      {muted && (
        <span class="avatar-badge">
          <Icon name="micOff" size={16} />
        </span>
      )}
    </span>
  );
}

interface DialogProps {
  title: string;
  children: ComponentChildren;
  onClose: () => void;
  testid: string;
}

/** A modal question; the element itself holds the focus and answers Escape. */
export function Dialog({ title, children, onClose, testid }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={ref} class="dialog" aria-labelledby="dialog-title" onCancel={onClose} data-testid={testid}>
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}

/** Bars that move while there is sound; still for people who ask for less motion. */
export function Waves({ moving }: { moving: boolean }) {
  return (
    <span class={`waves ${moving ? "waves-moving" : ""}`} aria-hidden="true">
      <i />
      <i />
      <i />
      <i />
      <i />
    </span>
  );
}
