/** What torchvision's ImageFolder makes of a folder: classes and samples, or what it raises. */

import { sorted } from "./text-order.js";
import { TorchError } from "./torch-error.js";

const EXTENSIONS = [".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"];

const namesOf = (folder, isFolder) =>
  [...folder.keys()].filter((name) => Boolean(folder.get(name).folder) === isFolder);

/** A folder and all below it, as `[path, folder]`. */
const walk = (path, folder) => [
  [path, folder],
  ...namesOf(folder, true).flatMap((name) => walk(`${path}/${name}`, folder.get(name).folder)),
];

/**
 * The dataset of a folder (a Map, see folder-tree.js), which is there under the path `root`: its `classes`, its `samples`
 * as `[path, label]`, and what it passes over, as `[path, why]`.
 */
export function imageFolder(root, folder, allowEmpty) {
  const missing = (message) => new TorchError("FileNotFoundError", message);
  if (!folder) throw missing(`[Errno 2] No such file or directory: '${root}'`);
  const classes = sorted(namesOf(folder, true));
  if (!classes.length) throw missing(`Couldn't find any class folder in ${root}.`);

  const samples = [];
  const leftOut = sorted(namesOf(folder, false)).map((name) => [`${root}/${name}`, "in no class folder"]);
  for (const [label, name] of classes.entries()) {
    const folders = new Map(walk(`${root}/${name}`, folder.get(name).folder));
    // The order of whole paths: `cat/a b` comes before `cat/a/c`, since a blank comes before a slash.
    for (const path of sorted(folders.keys())) {
      for (const file of sorted(namesOf(folders.get(path), false))) {
        const isPicture = EXTENSIONS.some((extension) => file.toLowerCase().endsWith(extension));
        if (isPicture) samples.push([`${path}/${file}`, label]);
        else leftOut.push([`${path}/${file}`, "extension"]);
      }
    }
  }

  const empty = classes.filter((_, label) => !samples.some(([, other]) => other === label));
  if (empty.length && !allowEmpty) {
    const extensions = EXTENSIONS.join(", ");
    throw missing(`Found no valid file for the classes ${empty.join(", ")}. Supported extensions are: ${extensions}`);
  }
  return { classes, samples, leftOut };
}
