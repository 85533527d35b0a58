/** The audience port's page: `/` the rooms, `/r/{room}` one room. */
import "../style/tokens.css";
import "../style/base.css";
import "../style/parts.css";
import "../style/listen.css";
import { show } from "../ui/root";
import { RoomPage } from "./room_page";
import { RoomsPage } from "./rooms_page";

const found = /^\/r\/([^/]+)\/?$/.exec(window.location.pathname);
show(found ? <RoomPage id={decodeURIComponent(found[1]!)} /> : <RoomsPage />);
