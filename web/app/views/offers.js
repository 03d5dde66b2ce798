// What is offered, and not answered yet.

import { link } from "../dom.js";
import { resources, short } from "../format.js";
import { Table } from "../table.js";

const COLUMNS = [
  { name: "Offer", of: ({ offer }) => offer.id, show: ({ offer }) => short(offer.id) },
  {
    name: "Framework",
    of: ({ framework }) => framework.name,
    text: ({ framework }) => `${framework.name} ${framework.id}`,
    show: ({ framework }) => link(["frameworks", framework.id], framework.name || framework.id),
  },
  { name: "Role", of: ({ offer }) => offer.allocation_info.role },
  {
    name: "Agent",
    of: ({ host, offer }) => host ?? offer.slave_id,
    text: ({ host = "", offer }) => `${host} ${offer.slave_id}`,
    show: ({ host, offer }) => (host ? link(["agents", offer.slave_id], host) : short(offer.slave_id)),
  },
  { name: "Resources", of: ({ offer }) => resources(offer.resources) },
];

/** A table of offers; columns named in `without` are left out. */
export function offerTable(without = []) {
  const columns = COLUMNS.filter((column) => !without.includes(column.name));
  return new Table({ title: "Offers", what: "offer", columns, sort: "Offer" });
}

export function offers() {
  const table = offerTable();
  return { title: "Offers", element: table.element, update: (cluster) => table.update(cluster.offers) };
}
