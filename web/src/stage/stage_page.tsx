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
import { AskedNotices } from "./asked_notice";
import { AudienceCard } from "./audience_card";
import { BlocksCard } from "./blocks_card";
import { DeliveryCard } from "./delivery_card";
import { CrowdCard } from "./crowd_card";
import { RoomDoorCard } from "./door_card";
import { EditCard } from "./edit_card";
import { HandsCard } from "./hands_card";
import { LadderNotice } from "./ladder_card";
import { LinksCard } from "./links_card";
import { Microphone } from "./microphone";
import { MicCard } from "./mic_card";
import { Presence } from "./presence";
import { RehearsalCard } from "./rehearsal_card";
import { RoleNotice } from "./role_notice";
import { RoomWatch } from "./room_watch";
import { RosterCard } from "./roster_card";
import type { SessionKeeper } from "./session";
import { ShowCard } from "./show_card";
import { SpeakerCard } from "./speaker_card";
import { personOf } from "./stage_rules";
import { StageSettingsCard } from "./stage_settings";

const RUNS_SHOW: readonly Role[] = ["operator", "host", "cohost"];
const SETS_DELIVERY: readonly Role[] = ["operator", "host"];
const KEEPS_ORDER: readonly Role[] = [...RUNS_SHOW, "moderator"];
const SPEAKS: readonly Role[] = ["host", "cohost", "speaker"];

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
    const watch = new RoomWatch(api, room, {
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
  const { room, stage, audience, hands, door, ladder, links, own, change, connected } = useStore(watch.store);
  const here = useStore(presence.store);
  useEffect(() => {
    void watch.run();
    return () => watch.stop();
  }, [watch]);
  const { person } = api.session;
  const me = personOf(stage, person);
  const role = own?.role ?? api.session.role;
  const runs = RUNS_SHOW.includes(role);
  const orders = KEEPS_ORDER.includes(role);
  useEffect(() => watch.seesLinks(orders), [watch, orders]);
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
  const over = room.state === "ended" || room.state === "published";
  const speaks = SPEAKS.includes(role);
  const mic = speaks && <MicCard microphone={microphone} presence={presence} />;
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
      <RoleNotice change={change} stage={stage} />
      <AskedNotices api={api} room={room.room} links={links} own={own} watch={watch} />
      {orders && stage && <Alarm stage={stage} />}
      {orders && <LadderNotice ladder={ladder} />}
      <AirBanner air={air} state={room.state} mutedBy={me?.muted_by ?? null} onAir={stage?.on_air ?? false} />
      {/* The order is a phone's: what one needs at once stands first. On a desk there are two columns. */}
      <div class={orders ? "stage-desk" : "column"}>
        <div class="column desk-first">
          {speaks && (
            <SpeakerCard
              api={api}
              room={room}
              role={role}
              me={me}
              hands={hands}
              presence={presence}
              microphone={microphone}
            />
          )}
          {here.status !== "on-stage" && mic}
          {runs && <ShowCard api={api} room={room} stage={stage} watch={watch} />}
        </div>
        <div class="column desk-side">
          <RosterCard api={api} room={room} stage={stage} role={role} orders={orders} />
          {orders && hands && !over && <HandsCard api={api} room={room.room} hands={hands} />}
          {orders ? (
            <AnnounceCard api={api} room={room} watch={watch} />
          ) : (
            room.announcement && (
              <p class="announcement" dir="auto" data-testid="announcement">
                {room.announcement.text}
              </p>
            )
          )}
          {runs && <LinksCard api={api} room={room} links={links} watch={watch} />}
        </div>
        <div class="column desk-rest">
          {here.status === "on-stage" && mic}
          {orders && audience && isOpen(room.state) && (
            <AudienceCard audience={audience} byEdge={role === "operator"} />
          )}
          {runs && isOpen(room.state) && <CrowdCard api={api} room={room.room} />}
          {runs && !over && door && <RoomDoorCard api={api} room={room.room} door={door} />}
          {runs && !over && <RehearsalCard api={api} room={room.room} />}
          {runs && !over && <StageSettingsCard api={api} room={room} stage={stage} watch={watch} />}
          {orders && !over && <BlocksCard api={api} room={room.room} />}
          {SETS_DELIVERY.includes(role) && !over && (
            <DeliveryCard
              api={api}
              room={room}
              now={audience?.edges.map((edge) => edge.block_steps) ?? []}
              watch={watch}
            />
          )}
          {runs && <EditCard api={api} room={room} watch={watch} />}
        </div>
      </div>
    </Page>
  );
}

function Waiting() {
  const { t } = useI18n();
  return <Message title={t("session.away.title")} text={t("session.away.text")} testid="server-away" />;
}
