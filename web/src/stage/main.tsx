import "../style/tokens.css";
import "../style/base.css";
import "../style/parts.css";
