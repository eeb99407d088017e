/** `<explore-timeline>`: set a `DataLoader`, and see which process loads what, and which batches come out. */

import { define } from "./explorable.js";

define("explore-timeline", () => import("./timeline-widget.js"));
