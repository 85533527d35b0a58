/** Solves one challenge beside the page, so that the page does not stand still meanwhile. */
import { work, type Challenge } from "./challenge_hash";

onmessage = ({ data }: MessageEvent<Challenge>) => {
  postMessage(work(data));
};
