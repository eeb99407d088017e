/** `<explore-product>`: step through the elements of a matrix product, a row and a column at a time. */

import { define } from "./explorable.js";

define("explore-product", () => import("./product-widget.js"));
