/** A second of silence, which an element repeats while somebody waits: their click counts for what it plays later. */
const RATE_HZ = 8_000;

let made: string | null = null;

export function silence(): string {
  made ??= URL.createObjectURL(new Blob([wav()], { type: "audio/wav" }));
  return made;
}

/** One channel of 8 bits, whose middle is 128 (RIFF WAVE). */
function wav(): ArrayBuffer {
  const bytes = new ArrayBuffer(44 + RATE_HZ);
  const view = new DataView(bytes);
  const text = (at: number, word: string) => {
    for (let i = 0; i < word.length; i += 1) view.setUint8(at + i, word.charCodeAt(i));
  };
  text(0, "RIFF");
  view.setUint32(4, 36 + RATE_HZ, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE_HZ, true);
  view.setUint32(28, RATE_HZ, true);
  view.setUint16(32, 1, true);
  view.setUint16(34, 8, true);
  text(36, "data");
  view.setUint32(40, RATE_HZ, true);
  new Uint8Array(bytes, 44).fill(128);
  return bytes;
}
