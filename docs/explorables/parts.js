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
