/** Defines explorables: elements that show a worked example, and where scripts run, something to try it with. */

/** Have the styles fetched that the page names and leaves disabled, and wait for them. */
function styles() {
  const links = [...document.querySelectorAll('link[href*="explorables/"]')];
  return Promise.all(links.map((link) => (link.fetched ??= fetched(link))));
}

function fetched(link) {
  return new Promise((done) => {
    link.onload = link.onerror = done;
    link.disabled = false;
  });
}

/**
 * Define the element `name`. When a reader comes within a screen of one, `load` imports its module, and the `build` of
 * that module fills it. An element that is moved stays as its reader left it.
 */
export function define(name, load) {
  class Explorable extends HTMLElement {
    #asked = false;
    #watch = new IntersectionObserver((seen) => seen.some(({ isIntersecting }) => isIntersecting) && this.#build(), {
      rootMargin: "100% 0px",
    });

    connectedCallback() {
      this.style.display = "block";
      if (!this.#asked) this.#watch.observe(this);
    }

    disconnectedCallback() {
      this.#watch.disconnect();
    }

    async #build() {
      this.#watch.disconnect();
      this.#asked = true;
      const [{ build }] = await Promise.all([load(), styles()]);
      build(this);
    }
  }
  customElements.define(name, Explorable);
}
