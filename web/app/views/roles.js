// Roles: what each may have, and has.

import { h, link } from "../dom.js";
import { number, resources } from "../format.js";
import { get } from "../requests.js";
import { Table } from "../table.js";

const text = (name, of) => ({ name, of });
const names = ({ role, cluster }) => role.frameworks.map((id) => cluster.frameworks.get(id)?.name || id);

const COLUMNS = [
  text("Role", ({ role }) => role.name),
  { name: "Weight", of: ({ role }) => role.weight, show: ({ role }) => number(role.weight), numeric: true },
  {
    name: "Frameworks",
    of: ({ role }) => role.frameworks.length,
    text: (row) => names(row).join(" "),
    show: (row) => h("ul", {}, row.role.frameworks.map((id, at) => h("li", {}, link(["frameworks", id], names(row)[at])))),
  },
  text("Guarantee", ({ role }) => resources(role.quota?.guarantee)),
  // A limit of 0 is one, too.
  text("Limit", ({ role }) => resources(role.quota?.limit, { zeros: true })),
  text("Consumed quota", ({ role }) => resources(role.quota?.consumed)),
  text("Allocated", ({ role }) => resources(role.allocated)),
  text("Offered", ({ role }) => resources(role.offered)),
  text("Reserved", ({ role }) => resources(role.reserved)),
];

export function roles() {
  const table = new Table({ title: "Roles", what: "role", columns: COLUMNS, sort: "Role" });
  return {
    title: "Roles",
    element: table.element,
    async update(cluster) {
      const { roles: all } = await get("roles");
      table.update(all.map((role) => ({ role, cluster })));
    },
  };
}
