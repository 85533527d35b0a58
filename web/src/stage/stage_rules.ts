/** Who may do what to whom on stage (as room/stage.py decides it), and what became of one's own role. */
import type { Role, Stage, StagePerson } from "../api/types";

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
  | { kind: "host-left"; name: string }
  | { kind: "host-gave"; name: string }
  | { kind: "host" | "cohost" | "speaker" | "moderator" };

/**
 * What to tell a person whose role is another one than a moment ago; null where it is the same.
 *
 * A host who has become something else in the same moment has handed over; one who is not connected has left.
 */
export function roleNews(before: Stage | null, after: Stage | null, person: string): RoleNews | null {
  const was = personOf(before, person)?.role;
  const role = personOf(after, person)?.role;
  if (!was || !role || was === role || role === "operator") return null;
  if (role !== "host") return { kind: role };
  const hosts = before?.people.filter((each) => each.role === "host" && each.person !== person) ?? [];
  const gave = hosts.find((each) => personOf(after, each.person)?.role === "cohost");
  if (gave) return { kind: "host-gave", name: gave.name };
  const left = hosts.find((each) => !personOf(after, each.person)?.connected);
  return left ? { kind: "host-left", name: left.name } : { kind: "host" };
}
