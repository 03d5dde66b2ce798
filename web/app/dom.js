// Elements, made without markup: what a framework or a task calls itself stays text.

/**
 * An element with attributes and children: h("a", { href: "#/" }, "home").
 *
 * A function is a handler (onclick), `style` an object, and true an attribute without a value. Children may be nested
 * lists; null, undefined and false are left out, also as attributes.
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

/** Gives an element these children in place of those that it has. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}

/** A list of terms with what they are: facts([["Host", "node1"], ...]). Those without a value are left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => present([value]).length > 0);
  return h("dl", {}, known.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

/** A part of a page with its heading. */
export function section(title, ...children) {
  return h("section", {}, h("h2", {}, title), children);
}

/** A link to one of these pages: link(["agents", id], "node1"). */
export function link(path, text, query = {}) {
  return h("a", { href: address(path, query) }, text);
}

/** The address of one of these pages. */
export function address(path, query = {}) {
  const asked = new URLSearchParams(query).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${asked && `?${asked}`}`;
}

/** A link to elsewhere, if the address is one that a browser may follow; a framework has chosen it. */
export function outside(url) {
  return /^https?:\/\//i.test(url) ? h("a", { href: url, rel: "noopener noreferrer", target: "_blank" }, url) : url;
}

function present(children) {
  const all = children.flat(Infinity);
  return all.filter((child) => child !== null && child !== undefined && child !== false && child !== "");
}
