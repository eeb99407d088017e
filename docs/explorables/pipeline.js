/** `<explore-pipeline>`: put the steps of a pipeline in an order, and see a photo after each. */

import { define } from "./explorable.js";

define("explore-pipeline", () => import("./pipeline-widget.js"));
