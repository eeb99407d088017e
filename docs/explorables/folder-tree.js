/** Reads a tree of folders and files: a path on each line, and a slash behind a folder without files. */

import { Unread } from "./read.js";

/** The folders that datasets are made of. */
export const ROOTS = ["train", "test"];
const MOST = 40;
const LONGEST = 60;

/** What is wrong with a path, or nothing. */
function fault(path, parts) {
  if ([...path].length > LONGEST) return `has more than ${LONGEST} characters`;
  if (parts.includes("")) return "has a part without a name";
  const dots = parts.find((part) => part === "." || part === "..");
  if (dots) return `has the part ${dots}, which is no name`;
  if (!ROOTS.includes(parts[0]) || path === parts[0]) return "lies in neither train/ nor test/";
}

/**
 * The tree as a folder: a Map from each name to `{line, folder}`, where a file has no `folder` and `line` is where the
 * name was first written. Throws `Unread` with the line that cannot be read.
 */
export function readTree(text) {
  const lines = text.split("\n").map((line) => line.trim());
  const tree = new Map();
  let count = 0;
  for (const [n, path] of lines.entries()) {
    if (!path) continue;
    const refuse = (words) => {
      throw new Unread("", words, `Line ${n + 1}`);
    };
    if (++count > MOST) refuse(`a tree has at most ${MOST} paths.`);
    const parts = path.replace(/\/$/, "").split("/");
    const words = fault(path, parts);
    if (words) refuse(`${path} ${words}.`);
    let folder = tree;
    for (const [depth, name] of parts.entries()) {
      const isFolder = depth < parts.length - 1 || path.endsWith("/");
      if (!folder.has(name)) folder.set(name, { line: n + 1, folder: isFolder ? new Map() : undefined });
      const known = folder.get(name);
      if (isFolder !== Boolean(known.folder)) {
        const [here, there] = isFolder ? ["folder", "file"] : ["file", "folder"];
        refuse(`${parts.slice(0, depth + 1).join("/")} is a ${here}, and in line ${known.line} a ${there}.`);
      }
      folder = known.folder;
    }
  }
  return tree;
}
