/** `<explore-alignment>`: line two shapes up from the right, and see which elements meet. */

import { define } from "./explorable.js";

define("explore-alignment", () => import("./alignment-widget.js"));
