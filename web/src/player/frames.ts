/** Binary frames of the push (docs/design.md, "Push"): a 16-byte header, big-endian, then fMP4 bytes. */
export const enum Kind {
  Init = 1,
  Media = 2,
}

export interface Frame {
  kind: Kind;
  discontinuity: number;
  epoch: number;
  step: number;
  bytes: Uint8Array<ArrayBuffer>;
}

const HEADER = 16;

/** Reads a frame; null when it is none of this version. */
export function parseFrame(buffer: ArrayBuffer): Frame | null {
  if (buffer.byteLength < HEADER) return null;
  const view = new DataView(buffer);
  const kind = view.getUint8(1);
  if (view.getUint8(0) !== 1 || (kind !== Kind.Init && kind !== Kind.Media)) return null;
  return {
    kind,
    discontinuity: view.getUint16(2),
    epoch: view.getUint32(4),
    step: Number(view.getBigUint64(8)),
    bytes: new Uint8Array(buffer, HEADER),
  };
}
