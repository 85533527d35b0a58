/** The staff port's page: `/` the operator's, `/r/{room}` the speaker's or host's, by the link's role. */
import "../style/tokens.css";
import "../style/base.css";
import "../style/parts.css";
import "../style/stage.css";
import { show } from "../ui/root";
import { Door } from "./door";
import { OperatorPage } from "./operator_page";
import { StagePage } from "./stage_page";

const found = /^\/r\/([^/]+)\/?$/.exec(window.location.pathname);
const room = found ? decodeURIComponent(found[1]!) : null;
show(
  <Door room={room}>
    {(api, keeper) => (room ? <StagePage api={api} room={room} keeper={keeper} /> : <OperatorPage api={api} />)}
  </Door>,
);
