// Frameworks: all of them, and one with its tasks and the reasons why it gets no offers.

import { rolesOf } from "../cluster.js";
import { facts, fill, h, link, outside, section } from "../dom.js";
import { amount, count, duration, number, resources, short, stamp, time } from "../format.js";
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
  of: (framework) => `${framework.name} ${framework.id}`,
  show: (framework) => link(["frameworks", framework.id], framework.name || framework.id),
};
const id = { name: "ID", of: (framework) => framework.id, show: (framework) => short(framework.id) };
const user = { name: "User", of: (framework) => framework.user };
const roles = { name: "Roles", of: (framework) => rolesOf(framework).join(", ") };
const registered = {
  name: "Registered",
  of: (framework) => stamp(framework.registered_time),
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
    of: (framework) => stamp(framework.unregistered_time),
    show: (framework) => time(framework.unregistered_time),
  },
];

/** How a framework that has not been removed is, in a word. */
function condition(framework) {
  if (framework.recovered) return "not back since the election";
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

  function update(cluster) {
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
    if (isAsked && isRegistered) explain(id, answer);
    offers.update(cluster.offers.filter((row) => row.framework === it));
    offers.element.hidden = offers.rows.length === 0;
    tables.update(cluster, (row) => row.framework === it);
    if (!about.isConnected) fill(page.element, heading, about, why, offers.element, tables.elements);
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
    ["Its own page", it.webui_url && outside(it.webui_url)],
    ["Registered", time(it.registered_time)],
    ["Registered again", time(it.reregistered_time)],
    ["Ended", time(it.unregistered_time)],
    ["Failover timeout", duration(it.failover_timeout)],
    ["Checkpoints", it.checkpoint ? "yes" : "no"],
    ["Capabilities", it.capabilities.join(", ").toLowerCase().replaceAll("_", " ")],
    ["Labels", it.labels?.map(({ key, value }) => `${key}=${value ?? ""}`).join(", ")],
    ["Uses", resources(it.used_resources)],
    ["Is offered", resources(it.offered_resources)],
  ]);
}

/** Asks the allocator, as `mesos explain` does, and shows its reasons for each role. */
async function explain(id, answer) {
  try {
    const { value } = await get(`allocator/explain?framework=${encodeURIComponent(id)}`);
    fill(answer, value.roles.map((role) => section(`Offers to role ${role.role}`, h("ul", {},
      role.obstacles.map((obstacle) => h("li", {}, OBSTACLES[obstacle.obstacle](obstacle))),
      role.reasons.map((group) =>
        h("li", {}, `${number(group.agents)} of ${count(role.agents_in_all, "agent")}: ${REASONS[group.reason](group)}. `,
          h("span", { class: "quiet" }, group.advice)))))));
    if (value.roles.length === 0) fill(answer, h("p", {}, "It subscribes to no role."));
  } catch (error) {
    fill(answer, h("p", { class: "bad" }, error.message));
  }
}

/** What stands in the way of all offers to a role (allocator/src/core/explain/answer.rs: `Obstacle`). */
const OBSTACLES = {
  not_returned: () => "It has not come back since the master was elected.",
  disconnected: () => "It is not connected.",
  not_subscribed: () => "It does not subscribe to this role.",
  suppressed: () => "It has suppressed offers to this role. It can ask for them again: REVIVE.",
  held: ({ seconds_left, agents_awaited }) =>
    `Nobody is offered anything before ${count(agents_awaited, "more agent")} are back, or ${duration(seconds_left)} have passed.`,
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
  framework_lacks: ({ capabilities, regions }) => `it cannot use them without ${[...capabilities, ...regions].join(", ")}`,
  agent_lacks: ({ capability }) => `too old: without ${capability}`,
  excluded_by_constraints: () => "excluded by its offer constraints",
  limit_reached: ({ role }) => `the quota of role ${role} allows no more`,
  headroom: () => "held back for the guarantees of other roles",
  filtered: ({ last_seconds_left }) => `refused by it; the last filter ends in ${duration(last_seconds_left)}`,
  nothing_else: () => "nothing else stands in the way",
  in_line: () => "free, but others are asked before it",
  would_be_offered: ({ resources: free }) => `to be offered next: ${free}`,
};
