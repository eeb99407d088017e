/** `<explore-landscape>`: descend a surface of two weights with an optimizer, a step at a time. */

import { define } from "./explorable.js";

define("explore-landscape", () => import("./landscape-widget.js"));
