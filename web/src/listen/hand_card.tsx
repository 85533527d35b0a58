/** Raising one's hand: to be asked on stage, from the listener's page. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { RoomView } from "../api/types";
import { useI18n } from "../i18n/i18n";
import type { TextKey } from "../i18n/i18n";
import { useStore } from "../lib/store";
import { Icon } from "../ui/icons";
import { Button } from "../ui/parts";
import { type HandState, RaisedHand } from "./hand";

const TITLES: Partial<Record<HandState["status"], TextKey>> = { waiting: "hand.up", invited: "hand.invited" };
/** What is said above the form when a hand is down. */
const NEWS: Partial<Record<HandState["status"], TextKey>> = {
  declined: "hand.declined",
  full: "hand.full",
  closed: "hand.closed",
  gone: "hand.gone",
};

export function HandCard({ room }: { room: RoomView }) {
  const { t } = useI18n();
  const hand = useMemo(() => new RaisedHand(room.room), [room.room]);
  useEffect(() => {
    hand.start();
    return () => hand.stop();
  }, [hand]);
  const state = useStore(hand.store);
  const told = useFocusAfter(state.status);
  if (!room.hands_open && state.status === "down") return null;
  const news = NEWS[state.status];
  return (
    <section class="card hand" aria-labelledby="hand-title" data-testid="hand" data-status={state.status}>
      <h2 id="hand-title">
        <Icon name="hand" size={22} />
        {t(TITLES[state.status] ?? "hand.title")}
      </h2>
      <div ref={told} tabIndex={-1} role="status">
        {state.status === "waiting" && <Waiting position={state.position ?? 1} />}
        {state.status === "invited" && <p>{t("hand.invited.text")}</p>}
        {news && <p data-testid="hand-news">{t(news)}</p>}
        {state.problem && (
          <p class="notice" data-testid="hand-problem">
            {t(`hand.problem.${state.problem}`)}
          </p>
        )}
      </div>
      {state.status === "waiting" && (
        <Button onClick={() => void hand.lower()} disabled={state.busy} testid="hand-lower">
          {t("hand.lower")}
        </Button>
      )}
      {state.status === "invited" && state.url && (
        <div class="row">
          <a class="button button-primary" href={state.url} data-testid="hand-join">
            <Icon name="mic" size={20} />
            {t("hand.join")}
          </a>
          <Button onClick={() => void hand.lower()} disabled={state.busy} testid="hand-decline">
            {t("hand.decline")}
          </Button>
        </div>
      )}
      {(state.status === "down" || news) && room.hands_open && <Raise hand={hand} busy={state.busy} />}
    </section>
  );
}

/** Keeps the place of who uses a keyboard or a screen reader: the button they pressed may be gone. */
function useFocusAfter(status: string) {
  const told = useRef<HTMLDivElement>(null);
  const before = useRef(status);
  useEffect(() => {
    if (before.current !== status && (!document.activeElement || document.activeElement === document.body)) {
      told.current?.focus({ preventScroll: true });
    }
    before.current = status;
  }, [status]);
  return told;
}

function Waiting({ position }: { position: number }) {
  const { t, n } = useI18n();
  return (
    <>
      <p class="hand-place" data-testid="hand-place" data-position={position}>
        {position === 1 ? t("hand.first") : n("hand.before", position - 1)}
      </p>
      <p class="hint">{t("hand.waiting.text")}</p>
    </>
  );
}

function Raise({ hand, busy }: { hand: RaisedHand; busy: boolean }) {
  const { t } = useI18n();
  const [name, setName] = useState(hand.name);
  const raise = (event: Event) => {
    event.preventDefault();
    void hand.raise(name.trim());
  };
  return (
    <form class="form" onSubmit={raise}>
      <p class="hint">{t("hand.text")}</p>
      <label class="field">
        <span>{t("hand.name")}</span>
        <input
          required
          maxLength={64}
          dir="auto"
          autocomplete="name"
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
          data-testid="hand-name"
        />
      </label>
      <div class="row">
        <Button type="submit" icon="hand" disabled={busy} testid="hand-raise">
          {t("hand.raise")}
        </Button>
      </div>
    </form>
  );
}
