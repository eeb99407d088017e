/** Material looks at the search field when a key is let go. Words also come by mouse, and by a phone's own keyboard. */
document.querySelector("[data-md-component=search-query]").addEventListener("input", ({ target }) => {
  target.dispatchEvent(new Event("keyup"));
});
