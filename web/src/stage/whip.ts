/**
 * One WHIP session (RFC 9725) that also hears: the mix-minus comes back on the same connection.
 *
 * When nothing comes any more, or the network has changed, ICE is restarted (4.3.3 there): the connection stays and
 * goes on over another address. If that leads nowhere within a second the session is over, and its owner makes another.
 */
import { ask } from "./api";
import { type Sending, STEPS, Uplink } from "./uplink";
import { answerAfter, answerFor, restartOf, withNack } from "./whip_sdp";

export interface WhipListener {
  /** Sound goes both ways, or does so again. */
  connected(): void;
  /** Nothing comes any more; it is being mended. */
  interrupted(): void;
  /** It broke, or never came up; `noPath`: the server answered, but no packet came through. */
  broken(noPath: boolean): void;
}

const ICE_DEADLINE_MS = 10_000;
const WATCH_MS = 250;
const SILENCE_MS = 1_500;
const RESTART_MS = 1_000;
/** The connection that carries the offer may have died with the network that it went over: then another one is taken. */
const OFFER_MS = 5_000;
const FRAGMENT = "application/trickle-ice-sdpfrag";

export class WhipSession {
  private readonly peer: RTCPeerConnection;
  private readonly sender: RTCRtpSender;
  private readonly uplink = new Uplink();
  private resource: string | null = null;
  private answer = "";
  private heard: MediaStream | null = null;
  private closed = false;
  private up = false;
  private mending = false;
  private deadline: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setInterval> | undefined;
  private packets = -1;
  private packetsAt = 0;
  private reportAt = -1;
  private sending = STEPS[0] as Sending;

  constructor(
    private readonly url: string,
    private readonly bearer: Record<string, string>,
    track: MediaStreamTrack,
    private readonly output: HTMLAudioElement,
    private readonly listener: WhipListener,
    iceServers: RTCIceServer[] = [],
  ) {
    this.peer = new RTCPeerConnection({ iceServers });
    this.sender = this.peer.addTransceiver(track, { direction: "sendrecv" }).sender;
    this.peer.ontrack = ({ track: heard }) => (this.heard = new MediaStream([heard]));
    this.peer.onconnectionstatechange = () => this.changed();
    this.peer.oniceconnectionstatechange = () => {
      if (this.peer.iceConnectionState === "disconnected") this.mend();
    };
  }

  /** Offers and takes the answer. Raises Problem when the server refuses. */
  async start(): Promise<void> {
    const sdp = await this.offer({});
    const response = await ask(this.url, {
      method: "POST",
      headers: { ...this.bearer, "Content-Type": "application/sdp" },
      body: sdp,
      signal: AbortSignal.timeout(OFFER_MS),
    });
    const location = response.headers.get("Location");
    this.resource = location && new URL(location, new URL(this.url, window.location.href)).href;
    this.answer = await response.text();
    if (this.closed) {
      this.forget();
      return;
    }
    this.deadline = setTimeout(() => this.fail(true), ICE_DEADLINE_MS);
    await this.peer.setRemoteDescription({ type: "answer", sdp: this.answer });
    // It says so at once when the server has ended the session.
    this.sender.transport?.addEventListener("statechange", () => {
      if (this.sender.transport?.state === "closed") this.mend();
    });
  }

  private async offer(options: RTCOfferOptions): Promise<string> {
    const sdp = withNack((await this.peer.createOffer(options)).sdp ?? "");
    await this.peer.setLocalDescription({ type: "offer", sdp });
    return sdp;
  }

  async replaceTrack(track: MediaStreamTrack): Promise<void> {
    await this.sender.replaceTrack(track);
  }

  /** The network may be another one: look whether anything still comes. `surely`: do not wait for that. */
  doubt(surely: boolean): void {
    if (surely) this.mend();
    else void this.look();
  }

  /** Ends it. Tells the server, also while the page goes away, unless a newer session has taken its place. */
  close(replaced = false): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.deadline);
    clearInterval(this.watch);
    this.peer.close();
    if (this.output.srcObject === this.heard) this.output.srcObject = null;
    if (!replaced) this.forget();
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
      this.output.srcObject = this.heard;
      this.output.play().catch(() => undefined);
      this.listener.connected();
    } else if (state === "failed") {
      if (this.up) this.mend();
      else this.fail(true);
    }
  }

  /** The server sends all the time; silence means that it, or the way to it, is gone. */
  private async look(): Promise<void> {
    if (!this.up) return;
    const report = await this.peer.getStats();
    if (this.closed) return;
    let packets = 0;
    for (const each of report.values() as IterableIterator<RTCStats>) {
      if (each.type === "inbound-rtp") packets += (each as RTCInboundRtpStreamStats).packetsReceived ?? 0;
      else if (each.type === "remote-inbound-rtp") this.reported(each);
    }
    const now = performance.now();
    if (packets !== this.packets) {
      this.packets = packets;
      this.packetsAt = now;
    } else if (now - this.packetsAt > SILENCE_MS) {
      this.mend();
    }
  }

  /** Restarts ICE, once at a time; what that does not mend is broken. */
  private mend(): void {
    if (this.closed || this.mending || !this.up) return;
    this.mending = true;
    this.listener.interrupted();
    this.deadline = setTimeout(() => this.fail(false), RESTART_MS);
    this.restart().then(
      () => {
        if (this.closed) return;
        clearTimeout(this.deadline);
        this.mending = false;
        this.packetsAt = performance.now();
        this.listener.connected();
      },
      () => this.fail(false),
    );
  }

  /** Returns once packets come over the new way. Raises Problem when the server has no such session any more. */
  private async restart(): Promise<void> {
    if (!this.resource) throw new Error("There is no session to go on with.");
    const sdp = await this.offer({ iceRestart: true });
    const response = await ask(this.resource, {
      method: "PATCH",
      headers: { ...this.bearer, "Content-Type": FRAGMENT, "If-Match": '"*"' },
      body: restartOf(sdp),
      signal: AbortSignal.timeout(RESTART_MS),
    });
    const before = this.packets;
    this.answer = answerAfter(this.answer, await response.text());
    await this.peer.setRemoteDescription({ type: "answer", sdp: this.adapted() });
    while (!this.closed && this.packets === before) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await this.look();
    }
  }

  /** Follows what the server says of our sound. */
  private reported(stats: RTCStats): void {
    const { timestamp, fractionLost, roundTripTime } = stats as RTCStats & {
      fractionLost?: number;
      roundTripTime?: number;
    };
    if (timestamp === this.reportAt || fractionLost === undefined) return;
    this.reportAt = timestamp;
    const report = { nowMs: performance.now(), lost: fractionLost, roundTripS: roundTripTime ?? null };
    const wanted = this.uplink.observe(report);
    if (!this.mending && wanted !== this.sending) void this.send(wanted).catch(() => undefined);
  }

  /** Sends in another way from now on; a browser that cannot goes on as it is. */
  private async send(wanted: Sending): Promise<void> {
    const { frameMs, red } = this.sending;
    this.sending = wanted;
    const parameters = this.sender.getParameters();
    const [encoding] = parameters.encodings;
    if (encoding) {
      encoding.maxBitrate = wanted.bitrate;
      await this.sender.setParameters(parameters);
    }
    if ((wanted.frameMs === frameMs && wanted.red === red) || this.mending || this.closed) return;
    // Nothing of it concerns the server: what our packets are like is in its answer, and we have that.
    await this.offer({});
    await this.peer.setRemoteDescription({ type: "answer", sdp: this.adapted() });
  }

  /** The server's answer, for what the uplink bears. */
  private adapted(): string {
    return answerFor(this.answer, this.sending.frameMs, this.sending.red);
  }

  private fail(noPath: boolean): void {
    if (this.closed) return;
    clearTimeout(this.deadline);
    clearInterval(this.watch);
    this.listener.broken(noPath);
  }
}
