/** The line of raised hands, for those who call on people; and one's own hand, on stage. */
import { useEffect, useState } from "preact/hooks";
import type { Hand, Hands } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { Icon } from "../ui/icons";
import { Alert, Button, IconButton } from "../ui/parts";
import type { StaffApi } from "./api";
import { useAction } from "./use_action";

interface Props {
  api: StaffApi;
  room: string;
  hands: Hands;
}

export function HandsCard({ api, room, hands }: Props) {
  const { t, n } = useI18n();
  const { act, problem } = useAction();
  const [wanted, setWanted] = useState<boolean | null>(null);
  useEffect(() => setWanted(null), [hands.open]);
  const setOpen = (open: boolean) => {
    setWanted(open);
    act(() =>
      api.openHands(room, open).catch((error: unknown) => {
        setWanted(null);
        throw error;
      }),
    );
  };
  const hidden = hands.total - hands.hands.length;
  return (
    <section class="card" aria-labelledby="hands-title" data-testid="hands" data-total={hands.total}>
      <h2 id="hands-title">{t("hands.title")}</h2>
      <label class="switch">
        <input
          type="checkbox"
          role="switch"
          checked={wanted ?? hands.open}
          onChange={(event) => setOpen(event.currentTarget.checked)}
          data-testid="hands-open"
        />
        <span>
          {t("hands.open")}
          <small>{t("hands.open.hint")}</small>
        </span>
      </label>
      <p role="status" class={hands.total ? "visually-hidden" : "hint"} data-testid="hands-count">
        {hands.total ? n("hands.count", hands.total) : t("hands.none")}
      </p>
      <ol class="roster hands">
        {hands.hands.map((hand) => (
          <Row
            key={hand.hand}
            hand={hand}
            onInvite={() => act(() => api.inviteHand(room, hand.hand))}
            onLower={() => act(() => api.lowerHand(room, hand.hand))}
          />
        ))}
      </ol>
      {hidden > 0 && <p class="hint">{n("hands.more", hidden)}</p>}
      <Alert text={problem} />
    </section>
  );
}

function Row({ hand, onInvite, onLower }: { hand: Hand; onInvite: () => void; onLower: () => void }) {
  const { t, number } = useI18n();
  const { name, person, position } = hand;
  const [called, setCalled] = useState(false);
  const invite = () => {
    setCalled(true);
    setTimeout(() => setCalled(false), 2_000);
    onInvite();
  };
  return (
    <li class="roster-row" data-testid="hand-row" data-name={name} data-state={hand.state} data-here={hand.here}>
      <span class="hand-number" aria-hidden="true">
        {position === null ? <Icon name="check" size={18} /> : number(position)}
      </span>
      <div class="roster-words">
        <p class="roster-name">
          <bdi>{name}</bdi>
        </p>
        <small>
          {t(person ? "hands.on-stage" : "hands.listener")}
          {hand.state === "invited" && ` · ${t("hands.invited")}`}
          {!hand.here && ` · ${t("hands.away")}`}
        </small>
      </div>
      <div class="roster-buttons">
        {hand.state === "waiting" && (
          <Button
            onClick={invite}
            disabled={called}
            label={t(person ? "hands.let.name" : "hands.invite.name", { name })}
            testid="hand-invite"
          >
            {t(person ? "hands.let" : "hands.invite")}
          </Button>
        )}
        <IconButton icon="close" label={t("hands.lower", { name })} onClick={onLower} testid="hand-row-lower" />
      </div>
    </li>
  );
}

/** Raises and lowers one's own hand on stage. */
export function OwnHand({ api, room, hands }: Props) {
  const { t, number } = useI18n();
  const { act, busy, problem } = useAction();
  const { mine } = hands;
  return (
    <>
      <Button
        icon="hand"
        disabled={busy}
        pressed={mine !== null}
        onClick={() => act(() => (mine === null ? api.raiseHand(room) : api.lowerOwnHand(room)))}
        testid="own-hand"
      >
        {mine === null ? t("hand.raise") : t("hand.lower")}
      </Button>
      <span role="status" class="hint" data-testid="own-place" data-position={mine ?? ""}>
        {mine !== null && t("hands.mine", { position: number(mine) })}
      </span>
      <Alert text={problem} />
    </>
  );
}
