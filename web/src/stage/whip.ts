/** One WHIP session (RFC 9725) that also hears: the mix-minus comes back on the same connection. */
import { ask } from "./api";

export interface WhipListener {
  /** Sound goes both ways. */
  connected(): void;
  /** It broke, or never came up; `noPath`: the server answered, but no packet came through. */
  broken(noPath: boolean): void;
}

const ICE_DEADLINE_MS = 10_000;
const WATCH_MS = 500;
const SILENCE_MS = 1_500;

export class WhipSession {
  private readonly peer = new RTCPeerConnection({ iceServers: [] });
  private readonly sender: RTCRtpSender;
  private resource: string | null = null;
  private closed = false;
  private up = false;
  private deadline: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setInterval> | undefined;
  private packets = -1;
  private packetsAt = 0;

  constructor(
    private readonly url: string,
    private readonly bearer: Record<string, string>,
    track: MediaStreamTrack,
    private readonly output: HTMLAudioElement,
    private readonly listener: WhipListener,
  ) {
    this.sender = this.peer.addTransceiver(track, { direction: "sendrecv" }).sender;
    this.peer.ontrack = ({ track: heard }) => {
      output.srcObject = new MediaStream([heard]);
      output.play().catch(() => undefined);
    };
    this.peer.onconnectionstatechange = () => this.changed();
  }

  /** Offers and takes the answer. Raises Problem when the server refuses. */
  async start(): Promise<void> {
    const offer = await this.peer.createOffer();
    await this.peer.setLocalDescription(offer);
    const response = await ask(this.url, {
      method: "POST",
      headers: { ...this.bearer, "Content-Type": "application/sdp" },
      body: offer.sdp ?? "",
    });
    const location = response.headers.get("Location");
    this.resource = location && new URL(location, new URL(this.url, window.location.href)).href;
    const answer = await response.text();
    if (this.closed) {
      this.forget();
      return;
    }
    this.deadline = setTimeout(() => this.fail(true), ICE_DEADLINE_MS);
    await this.peer.setRemoteDescription({ type: "answer", sdp: answer });
  }

  async replaceTrack(track: MediaStreamTrack): Promise<void> {
    await this.sender.replaceTrack(track);
  }

  /** Ends it and tells the server, also while the page goes away. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.deadline);
    clearInterval(this.watch);
    this.peer.close();
    this.output.srcObject = null;
    this.forget();
  }

  private forget(): void {
    if (!this.resource) return;
    fetch(this.resource, { method: "DELETE", headers: this.bearer, keepalive: true }).catch(() => undefined);
    this.resource = null;
  }

  private changed(): void {
    const state = this.peer.connectionState;
    if (state === "connected" && !this.up) {
      this.up = true;
      clearTimeout(this.deadline);
      this.packetsAt = performance.now();
      this.watch = setInterval(() => void this.look(), WATCH_MS);
      this.listener.connected();
    } else if (state === "failed") {
      this.fail(!this.up);
    }
  }

  /** The server sends all the time; silence means that it, or the way to it, is gone. */
  private async look(): Promise<void> {
    const report = await this.peer.getStats();
    if (this.closed) return;
    let packets = 0;
    for (const each of report.values() as IterableIterator<RTCStats>) {
      if (each.type === "inbound-rtp") packets += (each as RTCInboundRtpStreamStats).packetsReceived ?? 0;
    }
    const now = performance.now();
    if (packets !== this.packets) {
      this.packets = packets;
      this.packetsAt = now;
    } else if (now - this.packetsAt > SILENCE_MS) {
      this.fail(false);
    }
  }

  private fail(noPath: boolean): void {
    if (this.closed) return;
    this.close();
    this.listener.broken(noPath);
  }
}
