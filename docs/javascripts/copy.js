/**
 * A second choice beside Material's copy button: the block together with what it needs from earlier blocks.
 *
 * The text is in the page (`data-with-needs`); Material's clipboard takes it from the button.
 */
document$.subscribe(() => {
  for (const block of document.querySelectorAll(".highlight")) {
    const buttons = block.querySelector(".md-code__nav");
    if (!buttons) continue;
    buttons.setAttribute("role", "none"); // a page of blocks is no page of landmarks
    if (!block.dataset.withNeeds || buttons.querySelector("[data-clipboard-text]")) continue;
    const button = document.createElement("button");
    button.className = "md-code__button";
    button.title = "Copy with what it needs from above";
    button.dataset.mdType = "needs";
    button.dataset.clipboardText = block.dataset.withNeeds;
    buttons.prepend(button);
  }
});
