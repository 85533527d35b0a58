/** Icons, drawn on a 24-unit grid; decoration only, the words stand beside them or in labels. */
const PATHS = {
  play: "M8 5.500v13l11-6.500z",
  pause: "M8.500 6v12M15.500 6v12",
  stop: "M7.500 7.500h9v9h-9z",
  volume: "M5 10v4h3l4 3.500v-11L8 10zM15.500 9.500a4 4 0 010 5M18 7a8 8 0 010 10",
  silent: "M5 10v4h3l4 3.500v-11L8 10zM16 10l4 4M20 10l-4 4",
  mic: "M12 4a2.500 2.500 0 00-2.500 2.500v5a2.500 2.500 0 005 0v-5A2.500 2.500 0 0012 4zM6.500 11.500a5.500 5.500 0 0011 0M12 17v3",
  micOff:
    "M9.500 8.500v3a2.500 2.500 0 004 2M14.500 10V6.500a2.500 2.500 0 00-4.800-1M6.500 11.500a5.500 5.500 0 008.800 4.400M17.500 11.500q0 1-.4 2M12 17v3M4.500 4.500l15 15",
  calendar: "M5 7.500h14v12H5zM5 11h14M9 5v4M15 5v4",
  people:
    "M9 11a3 3 0 100-6 3 3 0 000 6zM3.500 19a5.500 5.500 0 0111 0M15.500 5.300a3 3 0 010 5.400M17 13.800a5.500 5.500 0 013.500 5.200",
  globe: "M12 4a8 8 0 100 16 8 8 0 000-16zM4 12h16M12 4c5 5 5 11 0 16M12 4c-5 5-5 11 0 16",
  record: "M12 6a6 6 0 100 12 6 6 0 000-12z",
  download: "M12 5v10M7.500 11l4.500 4.500 4.500-4.500M5.500 19h13",
  copy: "M9 9h10v10H9zM6 15H5V5h10v1",
  share: "M12 15V5M8 8.500L12 4.500l4 4M6 12v7h12v-7",
  check: "M5.500 12.500l4.500 4.500 8.500-10",
  close: "M7 7l10 10M17 7L7 17",
  megaphone: "M5 10v4h3l8 4V6L8 10zM8 14l1.500 5M18.500 10.500q1.500 1.500 0 3",
  shield: "M12 4l6.500 2.500v5q0 5.500-6.500 8.500-6.500-3-6.500-8.500v-5zM9 12l2.200 2.200L15.200 10",
  back: "M6 5.500V9.500h4M6.300 9.500A7 7 0 1112 19",
  forward: "M18 5.500V9.500h-4M17.700 9.500A7 7 0 1012 19",
  headphones: "M5 15v-3a7 7 0 0114 0v3M5 14h3v5H5zM16 14h3v5h-3z",
  lightGood: "M12 4a8 8 0 100 16 8 8 0 000-16zM8.300 12.200l2.600 2.600 4.800-5.300",
  lightPoor:
    "M8.700 4h6.600L20 8.700v6.600L15.300 20H8.700L4 15.300V8.700zM9.200 9.200l5.600 5.600M14.800 9.200l-5.600 5.600",
  more: "M5.500 12h.01M12 12h.01M18.500 12h.01",
  crown: "M4.500 8.500l3.800 3.500L12 6l3.700 6 3.800-3.500-1.500 9h-12z",
  alert: "M12 5l8 14H4zM12 10.500v3.500M12 16.500v.2",
  link: "M10 14a3.500 3.500 0 005 0l3-3a3.500 3.500 0 00-5-5l-1 1M14 10a3.500 3.500 0 00-5 0l-3 3a3.500 3.500 0 005 5l1-1",
  leave: "M13 5H6v14h7M11 12h9M17 8.500l3.500 3.500-3.500 3.500",
} as const;

export type IconName = keyof typeof PATHS;

const SOLID: readonly IconName[] = ["play", "stop", "record"];

export function Icon({ name, size = 24 }: { name: IconName; size?: number }) {
  return (
    <svg
      class={`icon ${SOLID.includes(name) ? "icon-solid" : ""}`}
      viewBox="0 0 24 24"
      width={size}
      height={size}
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
