/** `<explore-promotion>`: pick two operands, and see which dtype comes of them. */

import { define } from "./explorable.js";

define("explore-promotion", () => import("./promotion-widget.js"));
