// Roles: what each may have, and has.

import { fill, h } from "../dom.js";
import { number, resources } from "../format.js";
import { get } from "../requests.js";
import { Table } from "../table.js";

const text = (name, of) => ({ name, of });

const COLUMNS = [
  text("Role", (role) => role.name),
  { name: "Weight", of: (role) => role.weight, show: (role) => number(role.weight), numeric: true },
  { name: "Frameworks", of: (role) => role.frameworks.length, numeric: true },
  text("Guaranteed", (role) => resources(role.quota?.guarantee)),
  text("At most", (role) => resources(role.quota?.limit)),
  text("Of that it has", (role) => resources(role.quota?.consumed)),
  text("Allocated", (role) => resources(role.allocated)),
  text("Offered", (role) => resources(role.offered)),
  text("Reserved", (role) => resources(role.reserved)),
];

export function roles() {
  const table = new Table({ title: "Roles", what: "role", columns: COLUMNS, sort: "Role" });
  const trouble = h("p", { class: "bad" });
  return {
    title: "Roles",
    element: h("div", {}, trouble, table.element),
    async update() {
      try {
        table.update((await get("roles")).value.roles);
        fill(trouble);
      } catch (error) {
        fill(trouble, error.message);
      }
    },
  };
}
