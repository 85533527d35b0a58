/** Lets in whoever has a link, and says what to do to everybody else. */
import type { ComponentChildren } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { useI18n } from "../i18n/i18n";
import { useStore } from "../lib/store";
import { Button, Message, Page } from "../ui/parts";
import { StaffApi } from "./api";
import { SessionKeeper, takeToken } from "./session";

interface Props {
  room: string | null;
  children: (api: StaffApi, keeper: SessionKeeper) => ComponentChildren;
}

export function Door({ room, children }: Props) {
  const { t } = useI18n();
  const keeper = useMemo(() => new SessionKeeper(room, takeToken(room)), [room]);
  useEffect(() => void keeper.open(), [keeper]);
  // A new link pasted into the open page is a change of the fragment only.
  useEffect(() => {
    const reload = () => window.location.hash.includes("t=") && window.location.reload();
    window.addEventListener("hashchange", reload);
    return () => window.removeEventListener("hashchange", reload);
  }, []);
  const state = useStore(keeper.store);
  const session = state.status === "open" ? state.session : null;
  const api = useMemo(() => session && new StaffApi(session), [session]);
  if (api) return <>{children(api, keeper)}</>;
  if (state.status === "opening" || state.status === "open") {
    return (
      <Page home={room === null}>
        <p role="status">{t("app.loading")}</p>
      </Page>
    );
  }
  return (
    <Page home={room === null}>
      <Message
        title={t(`session.${state.status}.title`)}
        text={t(`session.${state.status}.text`)}
        testid={`session-${state.status}`}
      >
        {state.status === "in-use" && (
          <InUse code={state.code} onTakeOver={state.mayTakeOver ? () => void keeper.open(true) : null} />
        )}
      </Message>
    </Page>
  );
}

/** The digits to compare, and the way in where the other device is gone. */
function InUse({ code, onTakeOver }: { code: string; onTakeOver: (() => void) | null }) {
  const { t } = useI18n();
  return (
    <>
      {code && (
        <p>
          {t("session.in-use.code")}{" "}
          <strong class="code" dir="ltr" data-testid="device-code">
            {code}
          </strong>
        </p>
      )}
      {onTakeOver && (
        <>
          <p>{t("session.take-over.text")}</p>
          <Button kind="primary" onClick={onTakeOver} testid="take-over">
            {t("session.take-over")}
          </Button>
        </>
      )}
    </>
  );
}
