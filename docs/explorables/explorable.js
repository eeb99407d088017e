/** Defines explorables: elements that show a worked example, and where scripts run, something to try it with. */

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
      if (!this.#asked) this.#watch.observe(this);
    }

    disconnectedCallback() {
      this.#watch.disconnect();
    }

    async #build() {
      this.#watch.disconnect();
      this.#asked = true;
      const { build } = await load();
      build(this);
    }
  }
  customElements.define(name, Explorable);
}
