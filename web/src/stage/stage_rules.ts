/** Who may do what to whom on stage (as room/stage.py decides it), and what became of one's own role. */
import type { Role, RoleChange, Stage, StagePerson } from "../api/types";

const MANAGES: Readonly<Record<Role, readonly Role[]>> = {
  operator: ["host", "cohost", "speaker", "moderator"],
  host: ["host", "cohost", "speaker", "moderator"],
  cohost: ["speaker", "moderator"],
  speaker: [],
  moderator: ["speaker"],
};

/** Whether a role may remove people of another. */
export function manages(role: Role, target: Role): boolean {
  return MANAGES[role].includes(target);
}

/** The roles that somebody of `role` may give to a person of `target`, the least change first. */
export function rolesToGive(role: Role, target: Role): readonly Role[] {
  if (role !== "host" && role !== "operator") return [];
  const all: readonly Role[] = ["cohost", "speaker", "host"];
  return all.filter((each) => each !== target);
}

export function personOf(stage: Stage | null, person: string): StagePerson | null {
  return stage?.people.find((each) => each.person === person) ?? null;
}

/** How many seats are taken; a seat stays for a minute after its person has gone. */
export function seatsTaken(stage: Stage | null): number {
  return stage?.people.length ?? 0;
}

export type RoleNews =
  { kind: "host-left" | "host-gave"; name: string } | { kind: "host" | "cohost" | "speaker" | "moderator" };

/** What to tell a person whose role has changed; of a host who has left, the stage still knows the name. */
export function roleNews({ role, why, by, person }: RoleChange, stage: Stage | null): RoleNews | null {
  if (role === "operator") return null;
  if (role !== "host") return { kind: role };
  if (by !== null) return { kind: "host-gave", name: by };
  const left = stage?.people.find((each) => each.role === "host" && !each.connected && each.person !== person);
  return why === "host-absent" && left ? { kind: "host-left", name: left.name } : { kind: "host" };
}
