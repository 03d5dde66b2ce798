// Frameworks: all of them, and one with its tasks and the reasons why it gets no offers.

import { rolesOf } from "../cluster.js";
import { facts, fill, h, link, outside, section } from "../dom.js";
import { amount, count, duration, number, resources, short, time } from "../format.js";
import { get } from "../requests.js";
import { Table } from "../table.js";
import { offerTable } from "./offers.js";
import { TaskTables } from "./tasks.js";

const used = (name) => ({
  name,
  of: (framework) => framework.used_resources[name] ?? 0,
  show: (framework) => amount(name, framework.used_resources[name] ?? 0),
  numeric: true,
});

const name = {
  name: "Name",
  of: (framework) => framework.name,
  show: (framework) => link(["frameworks", framework.id], framework.name || framework.id),
};
const id = { name: "ID", of: (framework) => framework.id, show: (framework) => short(framework.id) };
const user = { name: "User", of: (framework) => framework.user };
const roles = { name: "Roles", of: (framework) => rolesOf(framework).join(", ") };
const registered = {
  name: "Registered",
  of: (framework) => framework.registered_time,
  text: () => "",
  show: (framework) => time(framework.registered_time),
};
const completedTasks = { name: "Completed tasks", of: (framework) => framework.completed_tasks.length, numeric: true };

const REGISTERED = [
  name, id, { name: "Host", of: (framework) => framework.hostname }, user, roles,
  { name: "State", of: condition },
  { name: "Active tasks", of: (framework) => framework.tasks.length, numeric: true },
  completedTasks,
  used("cpus"), used("gpus"), used("mem"), used("disk"),
  { name: "Offers", of: (framework) => framework.offers.length, numeric: true },
  registered,
];

const COMPLETED = [
  name, id, user, roles, completedTasks, registered,
  {
    name: "Ended",
    of: (framework) => framework.unregistered_time,
    text: () => "",
    show: (framework) => time(framework.unregistered_time),
  },
];

/** How a framework that has not been removed is, in a word. */
function condition(framework) {
  if (framework.recovered) return "recovered, not re-registered";
  if (!framework.connected) return "disconnected";
  return framework.active ? "active" : "inactive";
}

export function frameworks() {
  const sort = "-Registered";
  const registered = new Table({ title: "Frameworks", what: "framework", columns: REGISTERED, sort });
  const completed = new Table({ title: "Completed frameworks", what: "framework", columns: COMPLETED, sort: "-Ended" });
  return {
    title: "Frameworks",
    element: h("div", {}, registered.element, completed.element),
    update({ state }) {
      registered.update(state.frameworks);
      completed.update(state.completed_frameworks);
    },
  };
}

/** One framework. With `explain` in the query it is said why it gets no more offers. */
export function framework(id, query) {
  const heading = h("h1");
  const about = h("div");
  const answer = h("div");
  const isAsked = query.has("explain");
  const question = isAsked ? "" : link(["frameworks", id], "Why does it get no more offers?", { explain: "" });
  const why = h("div", {}, h("p", {}, question), answer);
  const offers = offerTable(["Framework"]);
  const tables = new TaskTables(["Framework"]);
  const page = { title: "Framework", element: h("div", {}, heading), update };

  async function update(cluster) {
    const it = cluster.frameworks.get(id);
    if (!it) {
      fill(page.element, h("p", {}, `The master knows no framework ${id}.`));
      return;
    }
    const isRegistered = cluster.isRegistered(it);
    page.title = it.name;
    fill(heading, it.name || id);
    fill(about, described(it, isRegistered));
    why.hidden = !isRegistered;
    offers.update(cluster.offers.filter((row) => row.framework === it));
    offers.element.hidden = offers.rows.length === 0;
    tables.update(cluster, (row) => row.framework === it);
    if (!about.isConnected) fill(page.element, heading, about, why, offers.element, tables.elements);
    if (isAsked && isRegistered) await explain(id, answer);
  }
  return page;
}

function described(it, isRegistered) {
  return facts([
    ["ID", it.id],
    ["State", isRegistered ? condition(it) : "completed"],
    ["Roles", rolesOf(it).join(", ")],
    ["User", it.user],
    ["Principal", it.principal],
    ["Host", it.hostname],
    ["Web UI", it.webui_url && outside(it.webui_url)],
    ["Registered", time(it.registered_time)],
    ["Re-registered", time(it.reregistered_time)],
    ["Ended", time(it.unregistered_time)],
    ["Failover timeout", duration(it.failover_timeout)],
    ["Checkpoint", it.checkpoint ? "yes" : "no"],
    ["Capabilities", it.capabilities.join(", ").toLowerCase().replaceAll("_", " ")],
    ["Labels", it.labels?.map(({ key, value }) => `${key}=${value ?? ""}`).join(", ")],
    ["Used", resources(it.used_resources)],
    ["Offered", resources(it.offered_resources)],
  ]);
}

/** Asks the allocator, as `mesos explain` does, and shows its reasons for each role. */
async function explain(id, answer) {
  try {
    // No agents one by one.
    const said = await get(`allocator/explain?framework=${encodeURIComponent(id)}&limit=0`);
    fill(answer, said.roles.map(explained), [
      said.roles.length === 0 && "It subscribes to no role.",
      said.more_roles > 0 && `It subscribes to ${count(said.more_roles, "more role")}; mesos explain --role tells of them.`,
      missing(said.absent_agents),
    ].filter(Boolean).map((text) => h("p", {}, text)));
  } catch (error) {
    fill(answer, h("p", { class: "bad" }, error.message));
  }
}

/** What is said of one role. */
function explained(role) {
  const obstacle = (it) => h("li", {}, (OBSTACLES[it.obstacle] ?? (() => it.obstacle))(it));
  const reason = (it) => h("li", {},
    `${number(it.agents)} of ${count(role.agents_in_all, "agent")}: ${(REASONS[it.reason] ?? (() => it.reason))(it)}. `,
    h("span", { class: "quiet" }, it.advice));
  const { position, length } = role.line;
  return section(`Offers to role ${role.role}`,
    h("ul", {}, role.obstacles.map(obstacle), role.reasons.map(reason)),
    position && h("p", {}, `In the order of fair sharing it is number ${position} of ${length}.`));
}

/** Agents that would count if they were here. */
function missing({ not_returned = 0, unreachable = 0 } = {}) {
  if (not_returned + unreachable === 0) return null;
  return `Not here: ${count(unreachable, "unreachable agent")}, ${count(not_returned, "recovered agent")} not re-registered.`;
}

/** What stands in the way of all offers to a role (allocator/src/core/explain/answer.rs: `Obstacle`). */
const OBSTACLES = {
  not_returned: () => "It has not come back since the master was elected.",
  disconnected: () => "It is not connected.",
  not_subscribed: () => "It does not subscribe to this role.",
  suppressed: () => "It has suppressed offers to this role. It can ask for them again: REVIVE.",
  held: ({ seconds_left, agents_awaited }) =>
    `Nothing is offered to anybody: ${count(agents_awaited, "agent")} awaited, for ${duration(seconds_left)} at most.`,
  paused: () => "Allocation is paused.",
  no_agents: () => "There is no agent.",
};

/** What is the matter with agents (the same: `Reason`). The figures are in `mesos explain`; advice comes with each. */
const REASONS = {
  agent_inactive: () => "out of service: disconnected, deactivated or draining",
  not_whitelisted: () => "not on the master's whitelist",
  nothing_free: ({ held }) => `nothing free; ${resources(held)} held`,
  reserved_for_others: ({ reserved }) => `what is free is reserved for ${Object.keys(reserved).join(", ")}`,
  below_minimum: ({ minimums }) => `less is free than the minimum of ${minimums.map(resources).join(" or ")}`,
  framework_lacks: ({ capabilities = [], regions = [] }) =>
    `it cannot use them without ${capabilities.join(", ")}${regions.length > 0 ? ` (they are in ${regions.join(", ")})` : ""}`,
  agent_lacks: ({ capability }) => `too old: without ${capability}`,
  excluded_by_constraints: () => "excluded by its offer constraints",
  limit_reached: ({ role, limits }) => `the quota of role ${role} allows no more ${Object.keys(limits).join(", ")}`,
  headroom: () => "held back for the guarantees of other roles",
  filtered: ({ last_seconds_left }) => `refused by it; the last filter ends in ${duration(last_seconds_left)}`,
  executor_limit: () => "as many executors as the master allows are there",
  nothing_else: () => "nothing else stands in the way",
  in_line: () => "free, but others are asked before it",
  would_be_offered: ({ resources: free }) => `to be offered next: ${free}`,
};
