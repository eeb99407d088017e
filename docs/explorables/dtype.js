/** `<explore-dtype>`: write a number, and see what a dtype makes of it. */

import { define } from "./explorable.js";

define("explore-dtype", () => import("./dtype-widget.js"));
