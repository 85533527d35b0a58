/** The show: open, go on air, hold, come back, end. Shown as happened only when the server says so. */
import { useState } from "preact/hooks";
import type { NotReady, RoomState, Stage, StaffRoom } from "../api/types";
import { useI18n } from "../i18n/i18n";
import type { TextKey } from "../i18n/i18n";
import { Icon, type IconName } from "../ui/icons";
import { Button, Dialog } from "../ui/parts";
import type { Move, StaffApi } from "./api";
import { Meter } from "./meter";
import type { RoomWatch } from "./room_watch";
import { useAction } from "./use_action";

interface Step {
  move: Move;
  icon: IconName;
  kind: "primary" | "danger" | "plain";
}

const STEPS: Partial<Record<RoomState, Step>> = {
  draft: { move: "open", icon: "headphones", kind: "primary" },
  scheduled: { move: "open", icon: "headphones", kind: "primary" },
  lobby: { move: "start", icon: "record", kind: "danger" },
  live: { move: "hold", icon: "pause", kind: "plain" },
  held: { move: "resume", icon: "record", kind: "danger" },
};

const WORDS = {
  open: "host.open",
  start: "host.start",
  hold: "host.hold",
  resume: "host.resume",
} as const satisfies Partial<Record<Move, TextKey>>;

const HINTS = {
  open: "host.open.hint",
  start: "host.start.hint",
  hold: "host.hold.hint",
  resume: "host.start.hint",
} as const satisfies Partial<Record<Move, TextKey>>;

interface Props {
  api: StaffApi;
  room: StaffRoom;
  stage: Stage | null;
  watch: RoomWatch;
}

export function ShowCard({ api, room, stage, watch }: Props) {
  const { t } = useI18n();
  const { busy, problem, act } = useAction();
  const [notReady, setNotReady] = useState<NotReady[]>([]);
  const [faster, setFaster] = useState<RoomState | null>(null);
  const [ending, setEnding] = useState(false);
  const move = (name: Move, force = false) => {
    setNotReady([]);
    setEnding(false);
    setFaster(null);
    act(
      async () => watch.takeRoom(await api.move(room.room, name, { expected: room.state, ...(force && { force }) })),
      (refusal) => {
        if (refusal.notReady.length > 0) setNotReady(refusal.notReady);
        if (refusal.slug === "wrong-state") setFaster(refusal.body["state"] as RoomState);
        return refusal.notReady.length > 0 || refusal.slug === "wrong-state";
      },
    );
  };
  const step = STEPS[room.state];
  const over = room.state === "ended" || room.state === "published";
  const open = room.state === "lobby" || room.state === "live" || room.state === "held";
  return (
    <section class="card show" aria-labelledby="show-title" data-testid="show" data-state={room.state}>
      <h2 id="show-title">{t("host.title")}</h2>
      <div class="row">
        {step && step.move in WORDS && (
          <Button
            kind={step.kind}
            icon={step.icon}
            disabled={busy}
            onClick={() => move(step.move)}
            testid={`do-${step.move}`}
          >
            {t(WORDS[step.move as keyof typeof WORDS])}
          </Button>
        )}
        {open && (
          <Button icon="stop" disabled={busy} onClick={() => setEnding(true)} testid="do-end">
            {t("host.end")}
          </Button>
        )}
      </div>
      <p class="hint">
        {step && step.move in HINTS && t(HINTS[step.move as keyof typeof HINTS])}
        {over && t(room.state === "published" && room.recorded ? "host.published" : "host.end.done")}
      </p>
      {problem && (
        <p class="notice" role="alert" data-testid="show-problem">
          {problem}
        </p>
      )}
      {faster && (
        <p class="notice" role="alert" data-testid="show-problem">
          {t("host.wrong-state", { state: t(`state.${faster}`) })}
        </p>
      )}
      <Facts room={room} stage={stage} open={open} />
      {notReady.length > 0 && (
        <NotReadyDialog people={notReady} onClose={() => setNotReady([])} onForce={() => move("start", true)} />
      )}
      {ending && <EndDialog onClose={() => setEnding(false)} onEnd={() => move("end")} />}
    </section>
  );
}

function Facts({ room, stage, open }: { room: StaffRoom; stage: Stage | null; open: boolean }) {
  const { t } = useI18n();
  const over = room.state === "ended" || room.state === "published";
  const running = room.recorded && stage?.on_air === true;
  const key: TextKey = !room.recorded
    ? "host.recording.off"
    : running
      ? "host.recording"
      : over
        ? "host.recording.done"
        : "host.recording.ready";
  return (
    <div class="show-facts">
      <p class={`recording ${running ? "recording-on" : ""}`} data-testid="recording" data-on={running}>
        <Icon name="record" size={18} />
        {t(key)}
      </p>
      {open && stage && (
        <div class="program">
          <small>{t("host.program")}</small>
          <Meter label={t("host.program")} dbfs={stage.level_dbfs} testid="program-level" />
        </div>
      )}
    </div>
  );
}

function NotReadyDialog(props: { people: NotReady[]; onClose: () => void; onForce: () => void }) {
  const { t } = useI18n();
  return (
    <Dialog title={t("host.ready.title")} onClose={props.onClose} testid="not-ready">
      <p>{t("host.ready.text")}</p>
      <ul class="bullets">
        {props.people.map((each) => (
          <li key={each.person} data-testid="not-ready-person" data-reason={each.reason}>
            {t(`host.ready.${each.reason}`, { name: each.name })}
          </li>
        ))}
      </ul>
      <div class="row">
        <Button onClick={props.onClose} testid="not-ready-wait">
          {t("host.ready.wait")}
        </Button>
        <Button kind="danger" onClick={props.onForce} testid="start-anyway">
          {t("host.ready.force")}
        </Button>
      </div>
    </Dialog>
  );
}

function EndDialog({ onClose, onEnd }: { onClose: () => void; onEnd: () => void }) {
  const { t } = useI18n();
  return (
    <Dialog title={t("host.end.title")} onClose={onClose} testid="end-dialog">
      <p>{t("host.end.text")}</p>
      <div class="row">
        <Button onClick={onClose}>{t("app.cancel")}</Button>
        <Button kind="danger" onClick={onEnd} testid="end-confirm">
          {t("host.end.confirm")}
        </Button>
      </div>
    </Dialog>
  );
}
