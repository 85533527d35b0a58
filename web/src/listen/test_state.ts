/** `window.stentor`: what the players are doing, for tests and for people who help others. */
import type { Player } from "../player/player";
import type { PlaceInLine } from "./line";
import type { ReplayPlayer } from "../player/replay";

interface Exposed {
  line: { readonly status: string; readonly position: number | null };
  player: {
    readonly transport: string | null;
    readonly codec: string | null;
    readonly status: string;
    readonly playing: boolean;
    readonly latency_s: number | null;
    readonly stalls: number;
    readonly buffered: number;
    readonly epoch: number | null;
    readonly target: number | null;
    readonly rate: number;
    readonly position: number;
    readonly failure: string | null;
    readonly audio: HTMLAudioElement;
  };
  replay?: { readonly status: string; readonly position: number; readonly duration: number };
}

declare global {
  interface Window {
    stentor?: Exposed;
  }
}

export function expose(player: Player, line: PlaceInLine): void {
  const state = () => player.store.get();
  window.stentor = {
    line: {
      get status() {
        return line.store.get().status;
      },
      get position() {
        return line.store.get().position;
      },
    },
    player: {
      get transport() {
        return state().transport;
      },
      get codec() {
        return state().codec;
      },
      get status() {
        return state().status;
      },
      get playing() {
        return state().status === "playing";
      },
      get latency_s() {
        return state().latencyS;
      },
      get stalls() {
        return state().stalls;
      },
      get buffered() {
        return state().bufferedS;
      },
      get epoch() {
        return state().epoch;
      },
      get target() {
        return state().targetS;
      },
      get rate() {
        return player.audio.playbackRate;
      },
      get position() {
        return player.audio.currentTime;
      },
      get failure() {
        return state().lastFailure;
      },
      audio: player.audio,
    },
  };
}

export function exposeReplay(replay: ReplayPlayer): void {
  if (!window.stentor) return;
  window.stentor.replay = {
    get status() {
      return replay.store.get().status;
    },
    get position() {
      return replay.store.get().position;
    },
    get duration() {
      return replay.store.get().duration;
    },
  };
}
