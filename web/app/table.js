// Tables that can be sorted, filtered and paged. They keep what their reader has chosen while their rows change.

import { fill, h } from "./dom.js";
import { count, number } from "./format.js";

const ROWS = 50;
/** With fewer rows there is nothing to look for. */
const FILTERED_FROM = 9;

/**
 * A table. Each column is { name, of, show, numeric }: `of` gives a row's value, which is sorted and looked for, and `show` what
 * is seen of it, if that is not the value itself. `what` says what a row is; `sort` which column comes first ("-Started":
 * the largest first).
 */
export class Table {
  constructor({ title, what, columns, sort }) {
    this.columns = columns;
    this.what = what;
    this.rows = [];
    this.page = 0;
    this.descending = sort.startsWith("-");
    this.sorted = columns.find((column) => column.name === sort.replace("-", ""));
    this.count = h("span", { class: "quiet" });
    const search = (event) => { this.page = 0; this.wanted = event.target.value.toLowerCase(); this.draw(); };
    this.wanted = "";
    this.filter = h("input", { type: "search", placeholder: "Filter", "aria-label": `Filter: ${title}`, oninput: search });
    this.heads = columns.map((column) =>
      h("th", { scope: "col", class: column.numeric && "number" },
        h("button", { type: "button", onclick: () => this.sortBy(column) }, column.name)));
    this.body = h("tbody");
    this.pager = h("p", { class: "pager" });
    this.element = h("section", { class: "table" },
      h("div", { class: "caption" }, h("h2", {}, title), this.count, this.filter),
      h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, this.heads)), this.body)),
      this.pager);
  }

  /** Shows these rows. */
  update(rows) {
    this.rows = rows;
    this.draw();
  }

  sortBy(column) {
    this.descending = this.sorted === column && !this.descending;
    this.sorted = column;
    this.page = 0;
    this.draw();
  }

  draw() {
    const found = this.rows.filter((row) => this.matches(row));
    const direction = this.descending ? -1 : 1;
    const keyed = found.map((row) => ({ row, key: this.sorted.of(row) ?? "" }));
    keyed.sort((one, other) => direction * compare(one.key, other.key));
    const pages = Math.max(1, Math.ceil(keyed.length / ROWS));
    this.page = Math.min(this.page, pages - 1);
    const shown = keyed.slice(this.page * ROWS, (this.page + 1) * ROWS);

    this.count.textContent = found.length === this.rows.length
      ? count(this.rows.length, this.what)
      : `${number(found.length)} of ${count(this.rows.length, this.what)}`;
    this.filter.hidden = this.rows.length < FILTERED_FROM && this.wanted === "";
    this.columns.forEach((column, index) => {
      const order = this.descending ? "descending" : "ascending";
      this.heads[index].setAttribute("aria-sort", column === this.sorted ? order : "none");
    });
    const focused = this.body.contains(document.activeElement) && document.activeElement.getAttribute("href");
    fill(this.body, shown.map(({ row }) => this.line(row)));
    if (focused) this.body.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
    fill(this.pager, pages > 1 && this.turners(pages));
  }

  line(row) {
    return h("tr", {}, this.columns.map(({ of, show = of, numeric }) =>
      h("td", { class: numeric && "number" }, numeric && show === of ? number(of(row) ?? 0) : show(row))));
  }

  matches(row) {
    return this.wanted === ""
      || this.columns.some((column) => String(column.of(row) ?? "").toLowerCase().includes(this.wanted));
  }

  turners(pages) {
    const turn = (by, text) =>
      h("button", {
        type: "button",
        disabled: this.page + by < 0 || this.page + by >= pages,
        onclick: () => { this.page += by; this.draw(); },
      }, text);
    return [turn(-1, "Previous"), ` page ${this.page + 1} of ${pages} `, turn(1, "Next")];
  }
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), "en", { numeric: true });
}
