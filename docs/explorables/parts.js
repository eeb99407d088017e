/** The parts that explorables are built of. Their look is in explorables.css. */

/**
 * An element: `make("td", {class: "place", tabindex: -1}, "text", child)`. An attribute that is false is left out.
 * Text stays text: what a reader types never becomes markup.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== false) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A label with its text field, which is the label's `control`. */
export function field(label, value) {
  const attributes = { type: "text", value, autocomplete: "off", autocapitalize: "off", spellcheck: "false" };
  return make("label", { class: "field" }, make("span", {}, label), make("input", attributes));
}

export const times = (n, build) => Array.from({ length: n }, (_, i) => build(i));
export const bracketed = (index) => `[${index.join(", ")}]`;

/** What an operation returns, or the error that it throws. */
export function attempt(operation) {
  try {
    return operation();
  } catch (error) {
    return error;
  }
}

/** An error in words, with the piece of text that it is about. */
export const say = ({ name, piece = "", message }) => `${name}: ${piece && `${piece}. `}${message}`;

/** How strong the nth of all is tinted, so that an order shows as a run from light to dark. */
export const tint = (n, all) => `--tint: ${Math.round(6 + (26 * n) / all)}%`;

/** A quantity below its name, and before it what ties it to the one before. */
export const term = (name, value, sign = "") =>
  make("span", {}, sign, make("span", {}, make("small", {}, name), " ", make("b", {}, value)));

/** Have an answer read out where the reader who is in `place` asked for it, and not each time a field changes. */
export function announce(answer, place) {
  answer.ariaLive = place.contains(document.activeElement) ? "polite" : "off";
}

/** Make a box the one of several at which the Tab key stops. */
export function stopAt(box, boxes) {
  for (const other of boxes) other.tabIndex = other === box ? 0 : -1;
}

/** Follow an arrow key from a box to the next of several, or to the one below, which comes `below` boxes later. */
export function walk(event, boxes, box, below) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const last = boxes.length - 1;
  const n = boxes.indexOf(box);
  const goal = { ArrowRight: n + 1, ArrowLeft: n - 1, ArrowDown: n + below, ArrowUp: n - below, Home: 0, End: last };
  if (!(event.key in goal)) return;
  event.preventDefault();
  boxes[goal[event.key]]?.focus();
}
