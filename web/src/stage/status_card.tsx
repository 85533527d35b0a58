/** The operator's own words on the status page. */
import { useEffect, useState } from "preact/hooks";
import type { InstallationStatus } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Alert, Button } from "../ui/parts";
import type { StaffApi } from "./api";
import { useAction } from "./use_action";

const POLL_MS = 10_000;
const PROMISES_MIN = [5, 10, 15, 30, 60];
const STALE_MS = 120_000;

export function StatusCard({ api }: { api: StaffApi }) {
  const { t, n, moment } = useI18n();
  const { act, busy, problem } = useAction();
  const [status, setStatus] = useState<InstallationStatus | null>(null);
  const [text, setText] = useState("");
  const [promise, setPromise] = useState(0);
  useEffect(() => {
    const refresh = () =>
      api.status().then(setStatus, () => {
        // The page says itself that the server is away.
      });
    void refresh();
    const timer = setInterval(() => void refresh(), POLL_MS);
    return () => clearInterval(timer);
  }, [api]);
  const say = () =>
    act(async () => {
      setStatus(await api.sayStatus(text.trim(), promise === 0 ? null : promise * 60));
      setText("");
    });
  const takeBack = (id: string) =>
    act(async () => {
      await api.takeBackStatus(id);
      setStatus(await api.status());
    });
  const said = status?.events.filter((event) => event.kind === "said") ?? [];
  return (
    <section class="card status-card" aria-labelledby="status-title" data-testid="status-card">
      <h2 id="status-title">{t("status.title")}</h2>
      <p class="hint">{t("status.text")}</p>
      {status && (
        <p>
          <a href={status.url} target="_blank" rel="noreferrer">
            {t("status.open")}
          </a>
        </p>
      )}
      {status?.next_update_at && (
        <p data-testid="status-next">{t("status.next", { when: moment(Date.parse(status.next_update_at)) })}</p>
      )}
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (text.trim()) say();
        }}
      >
        <label class="field">
          <span>{t("status.label")}</span>
          <textarea
            rows={2}
            maxLength={500}
            dir="auto"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            data-testid="status-text"
          />
        </label>
        <label class="field">
          <span>{t("status.promise")}</span>
          <select value={promise} onChange={(event) => setPromise(Number(event.currentTarget.value))}>
            <option value={0}>{t("status.promise.none")}</option>
            {PROMISES_MIN.map((minutes) => (
              <option key={minutes} value={minutes}>
                {n("status.promise.in", minutes)}
              </option>
            ))}
          </select>
        </label>
        <div class="row">
          <Button type="submit" icon="megaphone" disabled={busy || !text.trim()} testid="status-say">
            {t("status.say")}
          </Button>
        </div>
      </form>
      <Alert text={problem} />
      <ul class="status-said">
        {said.map((event) => (
          <li key={event.id} class="row" data-testid="status-said">
            <p>
              <small>{moment(Date.parse(event.at))}</small>
              <bdi>{event.text}</bdi>
            </p>
            <Button disabled={busy} onClick={() => takeBack(event.id)} testid="status-take-back">
              {t("status.back")}
            </Button>
          </li>
        ))}
      </ul>
      {status && <Copied status={status} />}
    </section>
  );
}

/** How it stands with the copy that can live elsewhere. */
function Copied({ status: { copied } }: { status: InstallationStatus }) {
  const { t, moment } = useI18n();
  const written = copied?.written_at ? Date.parse(copied.written_at) : null;
  if (copied && !copied.problem && written !== null && Date.now() - written < STALE_MS) {
    return <p class="hint">{t("status.copy", { when: moment(written) })}</p>;
  }
  return (
    <p class="notice" data-testid="status-copy-problem">
      {written === null ? t("status.copy.none") : t("status.copy.old", { when: moment(written) })}
      {copied?.problem && (
        <small lang="en" dir="ltr">
          {" "}
          {copied.problem}
        </small>
      )}
    </p>
  );
}
