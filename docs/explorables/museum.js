/** `<explore-museum>`: read the curves of runs with a bug, and find its line. */

import { define } from "./explorable.js";

define("explore-museum", () => import("./museum-widget.js"));
