/** The microphone: permission, choice, level. */
import { Store } from "../lib/store";
import { kept } from "../lib/storage";

export type MicTrouble = "insecure" | "webrtc" | "none" | "denied" | "taken" | "failed" | "lost";

export interface MicState {
  status: "off" | "asking" | "on" | "trouble";
  trouble: MicTrouble | null;
  detail: string;
  devices: { id: string; label: string }[];
  deviceId: string;
}

const SILENT_DBFS = -90;

/** What stands in the way before one even asks. */
export function obstacle(): MicTrouble | null {
  if (!window.isSecureContext) return "insecure";
  if (typeof RTCPeerConnection !== "function") return "webrtc";
  if (!navigator.mediaDevices) return "none";
  return null;
}

function troubleOf(error: unknown): MicTrouble {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "denied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "none";
  if (name === "NotReadableError" || name === "AbortError") return "taken";
  return "failed";
}

export class Microphone {
  readonly store: Store<MicState>;
  private stream: MediaStream | null = null;
  /** Where its level is measured; there is one once there is a microphone. */
  context: AudioContext | null = null;
  private analyser: AnalyserNode | null = null;
  private source: MediaStreamAudioSourceNode | null = null;
  private live = true;
  private readonly samples = new Float32Array(2048);

  /** `changed` is told the new track whenever there is another one. */
  constructor(private readonly changed: (track: MediaStreamTrack) => void) {
    const trouble = obstacle();
    this.store = new Store<MicState>({
      status: trouble ? "trouble" : "off",
      trouble,
      detail: "",
      devices: [],
      deviceId: kept.get("microphone") ?? "",
    });
  }

  get track(): MediaStreamTrack | null {
    return this.stream?.getAudioTracks()[0] ?? null;
  }

  /** Asks for the microphone; called inside a click. */
  async open(deviceId = this.store.get().deviceId): Promise<boolean> {
    const trouble = obstacle();
    if (trouble) {
      this.store.patch({ status: "trouble", trouble });
      return false;
    }
    this.store.patch({ status: "asking", trouble: null });
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: constraints(deviceId) });
      this.take(stream);
      await this.list();
      return true;
    } catch (error) {
      this.store.patch({
        status: "trouble",
        trouble: troubleOf(error),
        detail: error instanceof Error ? error.message : String(error),
      });
      return false;
    }
  }

  async choose(deviceId: string): Promise<void> {
    kept.set("microphone", deviceId);
    this.store.patch({ deviceId });
    await this.open(deviceId);
  }

  /** Muted people send silence, whatever the server does with it. */
  setLive(live: boolean): void {
    this.live = live;
    if (this.track) this.track.enabled = live;
  }

  close(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.source?.disconnect();
    if (this.store.get().status === "on") this.store.patch({ status: "off" });
  }

  /** RMS of the last moment in dBFS. */
  level(): number {
    if (!this.analyser || !this.track) return SILENT_DBFS;
    this.analyser.getFloatTimeDomainData(this.samples);
    const mean = this.samples.reduce((sum, sample) => sum + sample * sample, 0) / this.samples.length;
    return Math.max(SILENT_DBFS, 10 * Math.log10(mean + 1e-9));
  }

  private take(stream: MediaStream): void {
    this.close();
    this.stream = stream;
    this.context ??= new AudioContext();
    void this.context.resume();
    this.analyser ??= this.context.createAnalyser();
    this.source = this.context.createMediaStreamSource(stream);
    this.source.connect(this.analyser);
    const track = this.track;
    if (!track) return;
    track.enabled = this.live;
    track.onended = () => this.store.patch({ status: "trouble", trouble: "lost" });
    this.store.patch({ status: "on", trouble: null });
    this.changed(track);
  }

  private async list(): Promise<void> {
    const all = await navigator.mediaDevices.enumerateDevices();
    const devices = all
      .filter((device) => device.kind === "audioinput" && device.deviceId)
      .map((device) => ({ id: device.deviceId, label: device.label }));
    const used = this.track?.getSettings().deviceId ?? this.store.get().deviceId;
    this.store.patch({ devices, deviceId: used });
  }
}

/**
 * What the browser does to the sound. It alone hears the loudspeaker, and it alone can turn the input of the machine
 * up or down, before a converter clips; the server evens out what is left, slowly, and so does not work against it.
 */
function constraints(deviceId: string): MediaTrackConstraints {
  return {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
    channelCount: 1,
    ...(deviceId ? { deviceId: { ideal: deviceId } } : {}),
  };
}
