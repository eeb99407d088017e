/** `<explore-folder>`: edit a tree of folders, and see which labels ImageFolder makes of it. */

import { define } from "./explorable.js";

define("explore-folder", () => import("./folder-widget.js"));
