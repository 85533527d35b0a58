/** A level meter from -60 to 0 dBFS. */
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Props {
  label: string;
  dbfs?: number;
  elementRef?: RefObject<HTMLDivElement | null>;
  testid?: string;
}

export function Meter({ label, dbfs, elementRef, testid }: Props) {
  const own = useRef<HTMLDivElement>(null);
  const ref = elementRef ?? own;
  useEffect(() => {
    if (dbfs === undefined) return;
    ref.current?.style.setProperty("--level", String(Math.max(0, Math.min(1, (dbfs + 60) / 60))));
  }, [dbfs, ref]);
  return (
    <div
      ref={ref}
      class="meter"
      role="meter"
      aria-label={label}
      aria-valuemin={-90}
      aria-valuemax={0}
      aria-valuenow={Math.round(dbfs ?? -90)}
      data-testid={testid}
    >
      <span />
    </div>
  );
}
