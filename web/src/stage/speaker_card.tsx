/** Joining, muting oneself, leaving. */
import { useState } from "preact/hooks";
import { type Hands, isOpen, type Role, type StaffRoom, type StagePerson } from "../api/types";
import { useI18n } from "../i18n/i18n";
import type { TextKey } from "../i18n/i18n";
import { useStore } from "../lib/store";
import { Icon } from "../ui/icons";
import { Alert, Button } from "../ui/parts";
import type { StaffApi } from "./api";
import { OwnHand } from "./hands_card";
import type { Microphone } from "./microphone";
import type { Presence, PresenceState } from "./presence";
import { SoundHint } from "./sound_meter";
import { useAction } from "./use_action";

interface Props {
  api: StaffApi;
  room: StaffRoom;
  role: Role;
  me: StagePerson | null;
  hands: Hands | null;
  presence: Presence;
  microphone: Microphone;
}

const TOLD: Record<PresenceState["status"], TextKey | null> = {
  away: null,
  waiting: "speaker.join.wait",
  joining: "speaker.connecting",
  "on-stage": "speaker.connected",
  reconnecting: "speaker.reconnecting",
};

export function SpeakerCard({ api, room, role, me, hands, presence, microphone }: Props) {
  const { t } = useI18n();
  const state = useStore(presence.store);
  const mic = useStore(microphone.store);
  const over = room.state === "ended" || room.state === "published";
  const hopeless = mic.trouble === "insecure" || mic.trouble === "webrtc";
  const told = TOLD[state.status];
  return (
    <section class="card speaker" data-testid="speaker" data-status={state.status} data-returns={state.returns}>
      {over && <p role="status">{t("speaker.over")}</p>}
      {!over && state.status === "away" && (
        <Button kind="primary" icon="mic" disabled={hopeless} onClick={() => presence.join()} testid="join">
          {t("speaker.join")}
        </Button>
      )}
      {!over && state.status !== "away" && (
        <div class="row">
          <MuteButton api={api} room={room} role={role} me={me} microphone={microphone} />
          <Button icon="leave" onClick={() => presence.leave()} testid="leave">
            {t("speaker.leave")}
          </Button>
          {role === "speaker" && hands && me && <OwnHand api={api} room={room.room} hands={hands} />}
        </div>
      )}
      <p class="hint" role="status" data-testid="speaker-status">
        {!over && told && t(told)}
      </p>
      {state.trouble && (
        <p class="notice" role="alert" data-testid="speaker-trouble" data-trouble={state.trouble}>
          {t(`speaker.${state.trouble}`, { detail: state.detail })}
        </p>
      )}
      {state.status === "on-stage" && <SoundHint me={me} />}
      {!over && <Name api={api} room={room.room} folded={state.status === "on-stage"} />}
    </section>
  );
}

function MuteButton({ api, room, role, me, microphone }: Omit<Props, "presence" | "hands">) {
  const { t } = useI18n();
  const { act, problem } = useAction();
  const muted = me?.muted_by ?? null;
  const toggle = () => {
    // One's own microphone closes at once; it opens when the stage says so.
    if (!muted) microphone.setLive(false);
    act(() => api.mute(room.room, api.session.person, !muted));
  };
  return (
    <>
      <Button
        kind={muted ? "primary" : "plain"}
        icon={muted ? "mic" : "micOff"}
        disabled={!me || !isOpen(room.state) || (muted === "host" && role === "speaker")}
        onClick={toggle}
        testid="self-mute"
      >
        {muted ? t("speaker.unmute") : t("speaker.mute")}
      </Button>
      <Alert text={problem} />
    </>
  );
}

/** On stage one's name is out of the way of what one may need in a hurry. */
function Name({ folded, ...props }: { api: StaffApi; room: string; folded: boolean }) {
  const { t } = useI18n();
  if (!folded) return <NameField {...props} />;
  return (
    <details class="details">
      <summary>{t("speaker.name.change")}</summary>
      <NameField {...props} />
    </details>
  );
}

function NameField({ api, room }: { api: StaffApi; room: string }) {
  const { t } = useI18n();
  const { act, problem } = useAction();
  const [name, setName] = useState(api.session.name);
  const [saved, setSaved] = useState(api.session.name);
  const save = () => {
    const wanted = name.trim();
    if (wanted && wanted !== saved)
      act(() => api.rename(room, api.session.person, wanted).then(() => setSaved(wanted)));
  };
  return (
    <label class="field name-field">
      <span>{t("speaker.name")}</span>
      <span class="with-mark">
        <input
          value={name}
          maxLength={80}
          dir="auto"
          autocomplete="name"
          onInput={(event) => setName(event.currentTarget.value)}
          onBlur={save}
          onKeyDown={(event) => event.key === "Enter" && save()}
          data-testid="name"
        />
        {name.trim() === saved && <Icon name="check" size={20} />}
      </span>
      {problem && (
        <small class="notice" role="alert">
          {problem}
        </small>
      )}
    </label>
  );
}
