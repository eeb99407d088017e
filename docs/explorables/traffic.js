/** `<explore-traffic>`: build a chain of elementwise operations, and see which bytes it moves, eager and fused. */

import { define } from "./explorable.js";

define("explore-traffic", () => import("./traffic-widget.js"));
