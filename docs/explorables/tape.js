/** `<explore-tape>`: write an expression, and step backward along its tape. */

import { define } from "./explorable.js";

define("explore-tape", () => import("./tape-widget.js"));
