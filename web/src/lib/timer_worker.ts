/** Waits on behalf of a page. Timers of workers go on in time when the page lies in the background. */
interface Wait {
  id: number;
  ms: number;
}

const scope = self as unknown as { onmessage: (event: MessageEvent<Wait>) => void; postMessage(id: number): void };
scope.onmessage = ({ data }) => {
  setTimeout(() => scope.postMessage(data.id), data.ms);
};
