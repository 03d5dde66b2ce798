// Tables that can be sorted, filtered and paged. They keep what their reader has chosen while their rows change, and
// when their reader comes back to them.

import { fill, h } from "./dom.js";
import { count, number } from "./format.js";

const ROWS = 50;
/** With fewer rows there is nothing to look for. */
const FILTERED_FROM = 9;

const COLLATOR = new Intl.Collator("en", { numeric: true });

/** What readers have chosen, by page and table: { sorted, descending, wanted, page }. */
const choices = new Map();

/**
 * A table. Each column is { name, of, show, text, numeric }: `of` gives a row's value, by which it is sorted; `show`
 * what is seen of it, if that is not the value itself; `text` what a filter looks at, if that is more. `what` says
 * what a row is; `sort` which column comes first ("-Started": the largest first).
 */
export class Table {
  constructor({ title, what, columns, sort }) {
    this.columns = columns;
    this.what = what;
    this.rows = null;
    const key = `${location.hash} ${title}`;
    const usual = { sorted: sort.replace("-", ""), descending: sort.startsWith("-"), wanted: "", page: 0 };
    this.chosen = choices.get(key) ?? usual;
    choices.set(key, this.chosen);
    this.count = h("span", { class: "quiet" });
    const label = `Filter: ${title}`;
    this.filter = h("input", { type: "search", placeholder: "Filter", "aria-label": label, hidden: true });
    this.filter.value = this.chosen.wanted;
    this.filter.addEventListener("input", () => this.choose({ wanted: this.filter.value, page: 0 }));
    this.heads = columns.map((column) =>
      h("th", { scope: "col", class: column.numeric && "number" },
        h("button", { type: "button", onclick: () => this.sortBy(column) }, column.name)));
    this.body = h("tbody");
    const turn = (by) => () => this.choose({ page: this.chosen.page + by });
    this.previous = h("button", { type: "button", onclick: turn(-1) }, "Previous");
    this.next = h("button", { type: "button", onclick: turn(1) }, "Next");
    this.place = h("span");
    this.pager = h("p", { class: "pager", hidden: true }, this.previous, this.place, this.next);
    const table = h("table", { "aria-label": title }, h("thead", {}, h("tr", {}, this.heads)), this.body);
    this.element = h("section", { class: "table" },
      h("div", { class: "caption" }, h("h2", {}, title), this.count, this.filter),
      h("div", { class: "scroll" }, table),
      this.pager);
  }

  /** Shows these rows. */
  update(rows) {
    this.rows = rows;
    this.draw();
  }

  sortBy({ name }) {
    this.choose({ sorted: name, descending: this.chosen.sorted === name && !this.chosen.descending, page: 0 });
  }

  choose(what) {
    Object.assign(this.chosen, what);
    if (this.rows) this.draw();
  }

  draw() {
    const { sorted, descending } = this.chosen;
    const wanted = this.chosen.wanted.toLowerCase();
    const found = wanted === "" ? this.rows : this.rows.filter((row) => this.matches(row, wanted));
    const by = this.columns.find((column) => column.name === sorted) ?? this.columns[0];
    const direction = descending ? -1 : 1;
    const keyed = found.map((row) => ({ row, key: by.of(row) ?? "" }));
    keyed.sort((one, other) => direction * compare(one.key, other.key));
    const pages = Math.max(1, Math.ceil(keyed.length / ROWS));
    const page = Math.min(Math.max(this.chosen.page, 0), pages - 1);
    this.chosen.page = page;

    this.count.textContent = found.length === this.rows.length
      ? count(this.rows.length, this.what)
      : `${number(found.length)} of ${count(this.rows.length, this.what)}`;
    this.filter.hidden = this.rows.length < FILTERED_FROM && wanted === "";
    this.columns.forEach((column, index) => {
      const order = descending ? "descending" : "ascending";
      this.heads[index].setAttribute("aria-sort", column === by ? order : "none");
    });
    this.pager.hidden = pages === 1;
    this.previous.disabled = page === 0;
    this.next.disabled = page === pages - 1;
    this.place.textContent = `page ${page + 1} of ${pages}`;
    renew(this.body, keyed.slice(page * ROWS, (page + 1) * ROWS).map(({ row }) => this.line(row)));
  }

  line(row) {
    return h("tr", {}, this.columns.map(({ of, show = of, numeric }) => {
      const shown = numeric && show === of ? number(of(row) ?? 0) : show(row);
      // What is too long for its cell is seen whole when it is pointed at.
      const title = typeof shown === "string" && shown.length > 40 ? shown : null;
      return h("td", { class: numeric && "number", title }, shown);
    }));
  }

  matches(row, wanted) {
    return this.columns.some(({ of, text = of }) => String(text(row) ?? "").toLowerCase().includes(wanted));
  }
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one < other ? -1 : Number(one > other);
  return COLLATOR.compare(String(one), String(other));
}

/** Puts these lines into a table's body. Cells that are as before stay: whoever has one of them in focus keeps it. */
function renew(body, lines) {
  lines.forEach((line, index) => {
    const old = body.rows[index];
    if (!old) {
      body.append(line);
      return;
    }
    [...line.cells].forEach((cell, column) => {
      if (!old.cells[column].isEqualNode(cell)) old.cells[column].replaceWith(cell);
    });
  });
  while (body.rows.length > lines.length) body.lastElementChild.remove();
}
