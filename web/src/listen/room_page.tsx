/** The room's page: one address through the room's whole life. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isOpen, type RoomView } from "../api/types";
import { type I18n, language, useI18n } from "../i18n/i18n";
import { useStore } from "../lib/store";
import { Beacon } from "../player/beacon";
import { Player } from "../player/player";
import { Icon } from "../ui/icons";
import { Message, Page, StatePill } from "../ui/parts";
import { RoomFeed } from "./feed";
import { Foot } from "./foot";
import { HandCard } from "./hand_card";
import { type LineState, PlaceInLine } from "./line";
import { LineCard } from "./line_card";
import { LivePlayer } from "./live_player";
import { Proof } from "./proof";
import { remind } from "./reminder";
import { ReplayCard } from "./replay_card";
import { Scheduled } from "./scheduled";
import { StageCard } from "./stage_card";
import { expose } from "./test_state";

interface Parts {
  feed: RoomFeed;
  player: Player;
  line: PlaceInLine;
}

function useRoom(id: string): Parts {
  const parts = useMemo(() => {
    const feed: RoomFeed = new RoomFeed(
      id,
      () => player.onPush,
      () => line.waiting,
    );
    const line: PlaceInLine = new PlaceInLine(id, {
      solve: async (challenge) => (await import("./challenge")).solve(challenge),
      admitted: (ticket, streams) => {
        const { room } = feed.store.get();
        const given = streams ?? room?.streams;
        if (given) player.play(given, ticket);
        // Who waited for the doors to open knows by this that they have.
        void feed.ask();
        const { t } = language.get();
        remind.tell(id, room?.title ?? t("app.name"), t("line.turn"));
      },
    });
    const via = new URLSearchParams(window.location.search).get("via");
    const player: Player = new Player(via, feed.serverNow, {
      state: (room) => feed.pushed(room),
      closed: () => void feed.ask(),
      reachable: feed.reachable,
      refused: (why) => line.refused(why),
    });
    player.store.watch(() => player.store.get().status === "playing" && line.heard());
    new Beacon(id, player);
    expose(player, line);
    return { feed, player, line };
  }, [id]);
  useEffect(() => {
    parts.feed.start();
    parts.line.start();
    return () => parts.line.stop();
  }, [parts]);
  return parts;
}

/** What the tab is called: one's place in line comes first. */
function titleOf({ t, number }: I18n, room: RoomView | null, { status, position }: LineState): string {
  const name = room ? `${room.title} · ${t("app.name")}` : t("app.name");
  if (status === "elsewhere" || status === "in") return name;
  return position === null ? `… ${name}` : `(${number(position)}) ${name}`;
}

export function RoomPage({ id }: { id: string }) {
  const i18n = useI18n();
  const { t } = i18n;
  const { feed, player, line } = useRoom(id);
  const { status, room } = useStore(feed.store);
  const place = useStore(line.store);
  const [autostart, setAutostart] = useState(false);
  const wasOpen = useRef(false);
  useEffect(() => {
    document.title = titleOf(i18n, room, place);
  });
  const listen = () => {
    if (!room) return;
    if (!room.door?.guarded) {
      player.play(room.streams);
      return;
    }
    player.hold();
    line.enter();
  };
  useEffect(() => {
    if (!room) return;
    // Not while the page has not heard yet that the room is open: the door lets in as soon as it is.
    if (wasOpen.current && !isOpen(room.state) && player.active) player.stop();
    wasOpen.current = isOpen(room.state);
    if (isOver(room.state) && place.status !== "in") {
      line.leave();
      player.stop();
    }
    if (isOpen(room.state) && autostart) {
      setAutostart(false);
      listen();
    }
  }, [room, player, line, autostart, place]);
  return (
    <Page home={false} foot={<Foot />}>
      {status === "loading" && <p role="status">{t("app.loading")}</p>}
      {status === "unknown" && (
        <Message title={t("room.unknown.title")} text={t("room.unknown.text", { room: id })} testid="unknown-room">
          <a class="button button-primary" href="/">
            {t("app.rooms")}
          </a>
        </Message>
      )}
      {status === "away" && !room && (
        <Message title={t("room.away.title")} text={t("room.away.text")} testid="server-away" />
      )}
      {room && (
        <>
          {status === "away" && (
            <p class="notice" role="status" data-testid="server-away">
              {t("app.retrying")}
            </p>
          )}
          <Room
            room={room}
            feed={feed}
            player={player}
            line={line}
            listen={listen}
            autostart={autostart}
            setAutostart={setAutostart}
          />
        </>
      )}
    </Page>
  );
}

interface RoomProps extends Parts {
  room: RoomView;
  listen: () => void;
  autostart: boolean;
  setAutostart: (on: boolean) => void;
}

function isOver(state: RoomView["state"]): boolean {
  return state === "ended" || state === "published";
}

function Room({ room, feed, player, line, listen, autostart, setAutostart }: RoomProps) {
  const over = isOver(room.state);
  const { status } = useStore(line.store);
  const queues = status === "waiting" || status === "elsewhere";
  const stop = () => {
    line.leave();
    player.stop();
  };
  return (
    <div class="room" data-testid="room" data-state={room.state}>
      <Head room={room} />
      <Announced room={room} />
      {(room.state === "draft" || room.state === "scheduled") && (
        <Scheduled
          room={room}
          now={feed.serverNow}
          autostart={autostart}
          setAutostart={setAutostart}
          guarded={room.door?.guarded ?? false}
          queue={room.door?.guarded && !queues ? listen : null}
        />
      )}
      {!over && queues && <LineCard room={room} line={line} player={player} now={feed.serverNow} />}
      {isOpen(room.state) && (
        <>
          {!queues && (
            <LivePlayer room={room} player={player} listen={listen} stop={stop} asking={status === "asking"} />
          )}
          <HandCard room={room} />
          <StageCard people={room.people} />
        </>
      )}
      {over && room.replay && <ReplayCard room={room} replay={room.replay} player={player} />}
      {over && !room.replay && <Ended room={room} />}
      <Proof room={room} />
    </div>
  );
}

function Head({ room }: { room: RoomView }) {
  const { t, n, languageName } = useI18n();
  const cached = room.audience.by_beacon ?? 0;
  return (
    <div class="head">
      <StatePill state={room.state} recorded={room.recorded} />
      <h1 lang={room.language} data-testid="room-title">
        <bdi>{room.title}</bdi>
      </h1>
      {room.description && (
        <p class="description" lang={room.language}>
          <bdi>{room.description}</bdi>
        </p>
      )}
      <ul class="facts">
        {isOpen(room.state) && (
          <li data-testid="audience" data-count={room.audience.listeners}>
            <Icon name="people" size={18} />
            {n("room.audience", room.audience.listeners)}
          </li>
        )}
        {isOpen(room.state) && cached > 0 && (
          <li data-testid="audience-by-beacon" data-count={cached}>
            <Icon name="people" size={18} />
            {n("room.audience.cached", cached)}
          </li>
        )}
        <li>
          <Icon name="globe" size={18} />
          <span class="visually-hidden">{t("room.language")}</span>
          {languageName(room.language)}
        </li>
        {room.state !== "ended" && room.state !== "published" && (
          <li data-testid="recorded">
            <Icon name="record" size={18} />
            {room.recorded ? t("room.recorded") : t("room.recorded.not")}
          </li>
        )}
      </ul>
    </div>
  );
}

function Announced({ room }: { room: RoomView }) {
  const { t } = useI18n();
  return (
    <div aria-live="polite">
      {room.announcement && (
        <section class="announcement" aria-label={t("room.announcement")} data-testid="announcement">
          <Icon name="megaphone" size={22} />
          <p dir="auto">{room.announcement.text}</p>
        </section>
      )}
    </div>
  );
}

function Ended({ room }: { room: RoomView }) {
  const { t } = useI18n();
  return (
    <section class="card message" data-testid="ended" role="status">
      <h2>{t("room.ended.thanks")}</h2>
      <p>{room.recorded ? t("room.ended.text") : t("room.ended.unrecorded")}</p>
      {room.recorded && <span class="progress" aria-hidden="true" />}
    </section>
  );
}
