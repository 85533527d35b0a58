/** The stage check: is it quiet, does the microphone hear the loudspeaker, how does one sound. */
import type { Light } from "../api/types";
import { Store } from "../lib/store";
import { judgeEcho, judgeVoice, probe, PROBE_S } from "./echo";
import type { Microphone } from "./microphone";

export interface CheckResult {
  echo: Light;
  /** How much of what was played came back, in dB; null: nothing of it. */
  echoDb: number | null;
  noise: Light;
  noiseDbfs: number;
  voice: "good" | "quiet" | "silent" | "loud";
  voiceDbfs: number;
}

export interface CheckState {
  status: "idle" | "listening" | "recording" | "playing" | "failed";
  leftS: number;
  result: CheckResult | null;
}

/** Silence before the sound, and what a loudspeaker and a room may be late by. */
const QUIET_S = 0.8;
const LATE_S = 0.6;
const VOICE_S = 4;

/** As the sound meter judges it later (origin/sound.py). */
const ECHO_FAIR_DB = -35;
const ECHO_POOR_DB = -20;
const NOISE_FAIR_DBFS = -55;
const NOISE_POOR_DBFS = -42;
const SILENT_DBFS = -52;
const QUIET_DBFS = -40;
const CLIPPED = 0.001;

function light(value: number, fair: number, poor: number): Light {
  return value > poor ? "poor" : value > fair ? "fair" : "good";
}

/** Puts the two measurements together. */
export function judge(
  echo: { echoDb: number | null; noiseDbfs: number },
  voice: { voiceDbfs: number; clipped: number },
): CheckResult {
  const { voiceDbfs, clipped } = voice;
  return {
    ...echo,
    echo: light(echo.echoDb ?? -90, ECHO_FAIR_DB, ECHO_POOR_DB),
    noise: light(echo.noiseDbfs, NOISE_FAIR_DBFS, NOISE_POOR_DBFS),
    voice: clipped > CLIPPED ? "loud" : voiceDbfs < SILENT_DBFS ? "silent" : voiceDbfs < QUIET_DBFS ? "quiet" : "good",
    voiceDbfs,
  };
}

export class StageCheck {
  readonly store = new Store<CheckState>({ status: "idle", leftS: VOICE_S, result: null });

  constructor(private readonly microphone: Microphone) {}

  /** Listens to the loudspeaker, then records a voice and plays it back; called inside a click. */
  async run(): Promise<void> {
    const { context, track } = this.microphone;
    if (!context || !track || typeof MediaRecorder !== "function") {
      this.store.patch({ status: "failed" });
      return;
    }
    // A copy hears what the call would send, also while one is muted.
    const copy = track.clone();
    copy.enabled = true;
    try {
      await context.resume();
      const stream = new MediaStream([copy]);
      const echo = await this.listen(stream, context);
      const sound = await this.record(stream, context);
      this.store.patch({
        status: "playing",
        result: judge(echo, judgeVoice(sound.getChannelData(0), sound.sampleRate)),
      });
      await play(context, sound);
      this.store.patch({ status: "idle" });
    } catch {
      this.store.patch({ status: "failed" });
    } finally {
      copy.stop();
    }
  }

  private async listen(stream: MediaStream, context: AudioContext) {
    this.store.patch({ status: "listening", result: null });
    const sound = context.createBuffer(1, Math.ceil(PROBE_S * context.sampleRate), context.sampleRate);
    sound.copyToChannel(probe(context.sampleRate).subarray(0, sound.length), 0);
    const heard = await recorded(stream, context, async () => {
      await wait(QUIET_S);
      await play(context, sound);
      await wait(LATE_S);
    });
    return judgeEcho(heard.getChannelData(0), heard.sampleRate, QUIET_S);
  }

  private record(stream: MediaStream, context: AudioContext): Promise<AudioBuffer> {
    return recorded(stream, context, async () => {
      for (let left = VOICE_S; left > 0; left -= 1) {
        this.store.patch({ status: "recording", leftS: left });
        await wait(1);
      }
    });
  }
}

function wait(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
}

async function play(context: AudioContext, sound: AudioBuffer): Promise<void> {
  const player = context.createBufferSource();
  player.buffer = sound;
  player.connect(context.destination);
  await new Promise((resolve) => {
    player.onended = resolve;
    player.start();
  });
}

/** Records for as long as something lasts. */
async function recorded(
  stream: MediaStream,
  context: AudioContext,
  meanwhile: () => Promise<void>,
): Promise<AudioBuffer> {
  const recorder = new MediaRecorder(stream);
  const pieces: Blob[] = [];
  recorder.ondataavailable = (event) => pieces.push(event.data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  await meanwhile();
  recorder.stop();
  await stopped;
  return context.decodeAudioData(await new Blob(pieces, { type: recorder.mimeType }).arrayBuffer());
}
