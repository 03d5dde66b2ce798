// Tables of tasks, which several pages have.

import { sandboxOf, since } from "../cluster.js";
import { h, link } from "../dom.js";
import { resources, short, state, stateName, time } from "../format.js";
import { Table } from "../table.js";

const RUNNING = ["TASK_STARTING", "TASK_RUNNING"];
const OVER = [
  "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED", "TASK_GONE",
  "TASK_GONE_BY_OPERATOR",
];

const started = ({ task }) => since(task, RUNNING);
const ended = ({ task }) => since(task, OVER);
const health = ({ task }) => task.statuses.at(-1)?.healthy;

const COLUMNS = [
  {
    name: "Framework",
    of: ({ framework }) => framework.name,
    text: ({ framework }) => `${framework.name} ${framework.id}`,
    show: ({ framework }) => link(["frameworks", framework.id], framework.name || framework.id),
  },
  { name: "Task", of: ({ task }) => task.id, show: ({ task }) => short(task.id) },
  { name: "Name", of: ({ task }) => task.name },
  { name: "Role", of: ({ task }) => task.role },
  {
    name: "State",
    of: ({ task }) => stateName(task.state),
    show: (row) => [state(row.task.state), health(row) === false && h("span", { class: "bad" }, " unhealthy")],
  },
  {
    name: "Resources",
    of: ({ task }) => task.resources.cpus,
    text: ({ task }) => resources(task.resources),
    show: ({ task }) => resources(task.resources),
  },
  // Those that have not started yet are the newest.
  { name: "Started", of: (row) => started(row) ?? Infinity, text: () => "", show: (row) => time(started(row)) },
  { name: "Ended", of: (row) => ended(row) ?? 0, text: () => "", show: (row) => time(ended(row)) },
  {
    name: "Agent",
    of: ({ host, task }) => host ?? task.slave_id,
    text: ({ host = "", task }) => `${host} ${task.slave_id}`,
    show: ({ host, task }) => (host ? link(["agents", task.slave_id], host) : short(task.slave_id)),
  },
  {
    name: "Sandbox",
    of: () => "",
    show: ({ task, agent }) => agent && link(["directory"], "files", { agent: agent.id, path: sandboxOf(task) }),
  },
];

/** The tables of tasks: those that run, that are unreachable, that are over. Columns named in `without` are left out. */
export class TaskTables {
  constructor(without = []) {
    const table = (title, sort, also) => {
      const left = [...without, ...also];
      const columns = COLUMNS.filter((column) => !left.includes(column.name));
      return new Table({ title, what: "task", sort, columns });
    };
    this.active = table("Active tasks", "-Started", ["Ended"]);
    this.unreachable = table("Unreachable tasks", "Task", ["Ended", "Sandbox"]);
    this.completed = table("Completed tasks", "-Ended", []);
    this.elements = [this.active, this.unreachable, this.completed].map(({ element }) => element);
  }

  /** Shows the cluster's tasks of which `wanted` is true. */
  update(cluster, wanted = () => true) {
    this.active.update(cluster.active.filter(wanted));
    this.unreachable.update(cluster.unreachable.filter(wanted));
    this.unreachable.element.hidden = this.unreachable.rows.length === 0;
    this.completed.update(cluster.completed.filter(wanted));
  }
}
