/**
 * The proof of work that a server under attack asks of newcomers (docs/shield.md): some tenths of a second, once. What
 * is sent back is the challenge as it came, and the number that solves it.
 */
import type { Challenge, Solution } from "./challenge_hash";

const GIVE_UP_MS = 60_000;

/** Returns what to send as `solution`; rejects where there is no worker, or none that comes to an end. */
export function solve(challenge: object): Promise<string> {
  const begun = performance.now();
  const worker = new Worker(new URL("./challenge_worker.ts", import.meta.url), { type: "module" });
  return new Promise<Solution>((resolve, reject) => {
    const late = setTimeout(() => {
      reject(new Error("The challenge took too long."));
    }, GIVE_UP_MS);
    worker.onmessage = ({ data }: MessageEvent<Solution>) => {
      clearTimeout(late);
      resolve(data);
    };
    worker.onerror = () => {
      clearTimeout(late);
      reject(new Error("The challenge cannot be solved here."));
    };
    worker.postMessage(challenge as Challenge);
  })
    .then((solution) => btoa(JSON.stringify({ challenge, solution: { ...solution, time: performance.now() - begun } })))
    .finally(() => {
      worker.terminate();
    });
}
