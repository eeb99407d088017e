/** `<explore-strides>`: write a chain of operations, and walk the storage of every tensor on the way. */

import { define } from "./explorable.js";

define("explore-strides", () => import("./strides-widget.js"));
