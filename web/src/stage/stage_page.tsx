/** A room from behind: for speakers their microphone, for hosts the show as well. */
import { useEffect, useMemo } from "preact/hooks";
import { isOpen, type Role } from "../api/types";
import { useI18n } from "../i18n/i18n";
import { useStore } from "../lib/store";
import { Message, Page, StatePill } from "../ui/parts";
import { AirBanner, airOf, useAirEverywhere } from "./air";
import { Alarm } from "./alarm";
import { AnnounceCard } from "./announce_card";
import type { StaffApi } from "./api";
import { AudienceCard } from "./audience_card";
import { DeliveryCard } from "./delivery_card";
import { EditCard } from "./edit_card";
import { LinksCard } from "./links_card";
import { Microphone } from "./microphone";
import { MicCard } from "./mic_card";
import { Presence } from "./presence";
import { RoomWatch } from "./room_watch";
import { RosterCard } from "./roster_card";
import type { SessionKeeper } from "./session";
import { ShowCard } from "./show_card";
import { SpeakerCard } from "./speaker_card";

const RUNS_SHOW: readonly Role[] = ["operator", "host", "cohost"];
const SETS_DELIVERY: readonly Role[] = ["operator", "host"];
const KEEPS_ORDER: readonly Role[] = [...RUNS_SHOW, "moderator"];

interface Props {
  api: StaffApi;
  room: string;
  keeper: SessionKeeper;
}

function useStage({ api, room, keeper }: Props) {
  return useMemo(() => {
    let presence: Presence | null = null;
    const microphone = new Microphone((track) => void presence?.trackIs(track));
    presence = new Presence(api, room, microphone);
    const here = presence;
    const gone = (replaced: boolean) => {
      here.leave();
      microphone.close();
      if (replaced) keeper.replaced();
      else void keeper.open();
    };
    const watch = new RoomWatch(api, room, RUNS_SHOW.includes(api.session.role), {
      replaced: () => gone(true),
      refused: () => gone(false),
    });
    return { microphone, presence, watch };
  }, [api, room, keeper]);
}

export function StagePage(props: Props) {
  const { api } = props;
  const { t, number } = useI18n();
  const { microphone, presence, watch } = useStage(props);
  const { room, stage, audience, links, connected } = useStore(watch.store);
  const here = useStore(presence.store);
  useEffect(() => {
    void watch.run();
    return () => watch.stop();
  }, [watch]);
  const { role, person } = api.session;
  const me = stage?.people.find((each) => each.person === person) ?? null;
  const air = airOf(here.status === "on-stage", stage?.on_air ?? false, me?.muted_by ?? null);
  useEffect(() => {
    if (room) presence.roomIs(room.state);
    if (stage) presence.epochIs(stage.epoch);
    microphone.setLive(!me?.muted_by);
  });
  useAirEverywhere(air, room?.title ?? "");
  if (!room) {
    return <Page home={false}>{connected ? <p role="status">{t("app.loading")}</p> : <Waiting />}</Page>;
  }
  const runs = RUNS_SHOW.includes(role);
  const orders = KEEPS_ORDER.includes(role);
  const delivers = SETS_DELIVERY.includes(role) && room.state !== "ended" && room.state !== "published";
  const speaks = role !== "operator";
  const listeners = audience?.listeners ?? 0;
  return (
    <Page home={false} wide={orders}>
      <div class="stage-head">
        <h1>
          <bdi>{room.title}</bdi>
        </h1>
        <p class="row">
          <StatePill state={room.state} recorded={room.recorded} />
          <span data-testid="role">{t(`role.${role}`)}</span>
          {orders && (
            <span data-testid="listeners" data-count={listeners}>
              {`${t("host.audience")}: ${number(listeners)}`}
            </span>
          )}
        </p>
      </div>
      {!connected && (
        <p class="notice" role="status" data-testid="offline">
          {t("speaker.offline")}
        </p>
      )}
      {orders && stage && <Alarm stage={stage} />}
      <AirBanner air={air} state={room.state} mutedBy={me?.muted_by ?? null} onAir={stage?.on_air ?? false} />
      <div class={orders ? "columns" : "column"}>
        <div class="column">
          {runs && <ShowCard api={api} room={room} stage={stage} watch={watch} />}
          {speaks && <SpeakerCard api={api} room={room} me={me} presence={presence} microphone={microphone} />}
          {speaks && <MicCard microphone={microphone} presence={presence} />}
          {orders && audience && isOpen(room.state) && (
            <AudienceCard audience={audience} byEdge={role === "operator"} />
          )}
          {runs && <EditCard api={api} room={room} watch={watch} />}
        </div>
        <div class="column">
          <RosterCard api={api} room={room.room} stage={stage} orders={orders} />
          {orders ? (
            <AnnounceCard api={api} room={room} watch={watch} />
          ) : (
            room.announcement && (
              <p class="announcement" dir="auto" data-testid="announcement">
                {room.announcement.text}
              </p>
            )
          )}
          {delivers && (
            <DeliveryCard
              api={api}
              room={room}
              now={audience?.edges.map((edge) => edge.block_steps) ?? []}
              watch={watch}
            />
          )}
          {runs && <LinksCard api={api} room={room} links={links} watch={watch} />}
        </div>
      </div>
    </Page>
  );
}

function Waiting() {
  const { t } = useI18n();
  return <Message title={t("session.away.title")} text={t("session.away.text")} testid="server-away" />;
}
