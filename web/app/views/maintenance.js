// Machines whose maintenance is planned, and what frameworks have answered to being asked to leave.

import { h, link } from "../dom.js";
import { duration, time } from "../format.js";
import { get } from "../requests.js";
import { Table } from "../table.js";

const SECOND = 1e9;

const starts = ({ unavailability }) => unavailability.start.nanoseconds / SECOND;

const PLANNED = [
  { name: "Machines", of: ({ machine_ids }) => machine_ids.map(machineName).join(", ") },
  { name: "Start", of: starts, text: () => "", show: (window) => time(starts(window)) },
  {
    name: "Duration",
    of: ({ unavailability }) => unavailability.duration?.nanoseconds ?? Infinity,
    show: ({ unavailability: { duration: length } }) => (length ? duration(length.nanoseconds / SECOND) : "unlimited"),
  },
];

const MACHINES = [
  { name: "Machine", of: ({ machine }) => machineName(machine) },
  { name: "State", of: ({ mode }) => mode },
  {
    name: "Agents",
    of: (row) => agentsOn(row).length,
    text: (row) => agentsOn(row).map(({ hostname }) => hostname).join(" "),
    show: (row) => h("ul", {}, agentsOn(row).map((agent) =>
      h("li", {}, link(["agents", agent.id], `${agent.hostname}:${agent.port}`)))),
  },
  {
    name: "Answers of frameworks",
    of: ({ answers }) => answers.map(({ status }) => status).join(" "),
    show: ({ answers, cluster }) =>
      h("ul", {}, answers.map((answer) => h("li", {}, ...inWords(answer, cluster)))),
  },
];

export function maintenance() {
  const planned = new Table({ title: "Planned maintenance", what: "window", columns: PLANNED, sort: "Start" });
  const machines = new Table({ title: "Machines that drain or are down", what: "machine", columns: MACHINES, sort: "Machine" });
  return {
    title: "Maintenance",
    element: h("div", {}, planned.element, machines.element),
    async update(cluster) {
      const [{ windows = [] }, { draining_machines = [], down_machines = [] }] =
        await Promise.all([get("maintenance/schedule"), get("maintenance/status")]);
      planned.update(windows);
      machines.update([
        ...draining_machines.map(({ id, statuses = [] }) => ({ machine: id, mode: "draining", answers: statuses, cluster })),
        ...down_machines.map((machine) => ({ machine, mode: "down", answers: [], cluster })),
      ]);
    },
  };
}

/** The registered agents on a machine: the master knows it by its agents' host name and their address, both. */
function agentsOn({ machine: { hostname = "", ip = "" }, cluster }) {
  const isThere = (agent) => agent.hostname.toLowerCase() === hostname.toLowerCase()
    && agent.pid.split("@")[1].replace(/:\d+$/, "") === ip;
  return [...cluster.agents.values()].filter(isThere);
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
