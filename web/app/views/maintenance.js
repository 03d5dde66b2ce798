// Machines whose maintenance is planned, and what frameworks have answered to being asked to leave.

import { fill, h, link } from "../dom.js";
import { duration, stamp, time } from "../format.js";
import { get } from "../requests.js";
import { Table } from "../table.js";

const SECOND = 1e9;

const starts = ({ unavailability }) => unavailability.start.nanoseconds / SECOND;

const PLANNED = [
  { name: "Machines", of: ({ machine_ids }) => machine_ids.map(machineName).join(", ") },
  { name: "From", of: (window) => stamp(starts(window)), show: (window) => time(starts(window)) },
  {
    name: "For",
    of: ({ unavailability }) => unavailability.duration?.nanoseconds ?? Infinity,
    show: ({ unavailability: { duration: length } }) => (length ? duration(length.nanoseconds / SECOND) : "ever"),
  },
];

const MACHINES = [
  { name: "Machine", of: ({ machine }) => machineName(machine) },
  { name: "State", of: ({ mode }) => mode },
  {
    name: "Answers of frameworks",
    of: ({ answers }) => answers.map(({ status }) => status).join(" "),
    show: ({ answers, cluster }) =>
      h("ul", {}, answers.map((answer) => h("li", {}, ...inWords(answer, cluster)))),
  },
];

export function maintenance() {
  const planned = new Table({ title: "Planned maintenance", what: "window", columns: PLANNED, sort: "From" });
  const machines = new Table({ title: "Machines that drain or are down", what: "machine", columns: MACHINES, sort: "Machine" });
  const trouble = h("p", { class: "bad" });
  return {
    title: "Maintenance",
    element: h("div", {}, trouble, planned.element, machines.element),
    async update(cluster) {
      try {
        const [schedule, status] = await Promise.all([get("maintenance/schedule"), get("maintenance/status")]);
        planned.update(schedule.value.windows ?? []);
        const draining = (status.value.draining_machines ?? []).map(({ id, statuses = [] }) =>
          ({ machine: id, mode: "draining", answers: statuses, cluster }));
        const down = (status.value.down_machines ?? []).map((machine) =>
          ({ machine, mode: "down", answers: [], cluster }));
        machines.update([...draining, ...down]);
        fill(trouble);
      } catch (error) {
        fill(trouble, error.message);
      }
    },
  };
}

function machineName({ hostname, ip }) {
  return [hostname, ip].filter(Boolean).join(" ");
}

/** What a framework says of an inverse offer: that it leaves, that it stays, or nothing yet. */
function inWords({ framework_id, status }, cluster) {
  const framework = cluster.frameworks.get(framework_id.value);
  const words = { ACCEPT: "leaves", DECLINE: "stays", UNKNOWN: "has not answered" };
  return [link(["frameworks", framework_id.value], framework?.name || framework_id.value), ` ${words[status] ?? status}`];
}
