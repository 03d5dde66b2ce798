// Agents: all of them, and one with what it says of itself.

import { conditionOf } from "../cluster.js";
import { facts, fill, h, link, section } from "../dom.js";
import { amount, bytes, duration, number, resources, short, stamp, time } from "../format.js";
import { getFromAgent, linkToAgent } from "../requests.js";
import { Table } from "../table.js";
import { TaskTables } from "./tasks.js";

const of = (name) => ({
  name,
  of: (agent) => (agent.used_resources[name] ?? 0) / (agent.resources[name] || 1),
  show: (agent) => `${amount(name, agent.used_resources[name] ?? 0)} of ${amount(name, agent.resources[name] ?? 0)}`,
  numeric: true,
});

const host = { name: "Host", of: (agent) => agent.hostname };
const id = { name: "ID", of: (agent) => agent.id, show: (agent) => short(agent.id) };
const attributes = { name: "Attributes", of: (agent) => listed(agent.attributes) };

const COLUMNS = [
  { ...host, show: (agent) => link(["agents", agent.id], `${agent.hostname}:${agent.port}`) },
  id,
  { name: "State", of: conditionOf },
  of("cpus"), of("gpus"), of("mem"), of("disk"),
  attributes,
  { name: "Version", of: (agent) => agent.version },
  {
    name: "Registered",
    of: (agent) => stamp(agent.reregistered_time ?? agent.registered_time),
    show: (agent) => time(agent.reregistered_time ?? agent.registered_time),
  },
];

export function agents() {
  const registered = new Table({ title: "Agents", what: "agent", columns: COLUMNS, sort: "Host" });
  const title = "Agents that are not back since the election";
  const recovered = new Table({ title, what: "agent", columns: [host, id, attributes], sort: "Host" });
  return {
    title: "Agents",
    element: h("div", {}, registered.element, recovered.element),
    update({ state }) {
      registered.update(state.slaves);
      recovered.update(state.recovered_slaves);
      recovered.element.hidden = state.recovered_slaves.length === 0;
    },
  };
}

export function agent(id) {
  const heading = h("h1");
  const about = h("div");
  const shares = h("div");
  const trouble = h("p", { class: "bad" });
  const executors = executorTable("Executors");
  const completed = executorTable("Completed executors");
  const tables = new TaskTables(["Agent"]);
  const page = { title: "Agent", element: h("div", {}, heading), update };

  async function update(cluster) {
    const it = cluster.agents.get(id);
    if (!it) {
      fill(page.element, h("p", {}, `No agent ${id} is registered. It may be unreachable, or gone.`));
      return;
    }
    page.title = it.hostname;
    fill(heading, `${it.hostname}:${it.port}`);
    fill(shares, shareTable(it));
    tables.update(cluster, ({ task }) => task.slave_id === id);
    if (!about.isConnected) {
      fill(page.element, heading, about, section("Resources", shares), trouble, executors.element, completed.element,
        tables.elements);
    }
    try {
      const [state, statistics] = await Promise.all([
        getFromAgent(it, "/state"), getFromAgent(it, "/monitor/statistics").catch(() => []),
      ]);
      executors.update(rows(state, "executors", it, statistics));
      completed.update(rows(state, "completed_executors", it, []));
      fill(about, described(it, state));
      fill(trouble);
    } catch (error) {
      fill(about, described(it));
      fill(trouble, `What the agent itself says is not to be had: ${error.message}`);
    }
  }
  return page;
}

function described(it, state) {
  return facts([
    ["ID", it.id],
    ["State", conditionOf(it)],
    ["Drains for at most", it.drain_info?.config.max_grace_period && "the time that was allowed"],
    ["Address", it.pid.split("@")[1]],
    ["Version", it.version],
    ["Attributes", listed(it.attributes)],
    ["Region and zone", it.domain && [it.domain.fault_domain?.region.name, it.domain.fault_domain?.zone.name].join(", ")],
    ["Registered", time(it.registered_time)],
    ["Registered again", time(it.reregistered_time)],
    ["Started", time(state?.start_time)],
    ["Log", state?.log_dir && link(["file"], "mesos-agent.log", { agent: it.id, path: "/slave/log" })],
    ["What it says", h("a", { href: linkToAgent(it, "/state") }, "/state")],
  ]);
}

/** Each resource: how much there is, and what becomes of it. */
function shareTable(it) {
  const reservations = Object.entries(it.reserved_resources);
  const row = ([name, total]) => {
    const reserved = reservations.filter(([, some]) => some[name]).map(([role, some]) => `${amount(name, some[name])} for ${role}`);
    const cells = [amount(name, total), amount(name, it.used_resources[name] ?? 0), amount(name, it.offered_resources[name] ?? 0)];
    return h("tr", {}, h("th", { scope: "row" }, name), cells.map((cell) => h("td", {}, cell)), h("td", {}, reserved.join(", ")));
  };
  const heads = ["", "In all", "Used", "Offered", "Reserved"].map((text) => h("th", { scope: "col" }, text));
  return h("div", { class: "scroll" }, h("table", {},
    h("thead", {}, h("tr", {}, heads)),
    h("tbody", {}, Object.entries(it.resources).map(row))));
}

function executorTable(title) {
  return new Table({
    title,
    what: "executor",
    sort: "Framework",
    columns: [
      {
        name: "Framework",
        of: ({ framework }) => framework.name,
        show: ({ framework }) => link(["frameworks", framework.id], framework.name || framework.id),
      },
      { name: "Executor", of: ({ executor }) => executor.id, show: ({ executor }) => short(executor.id) },
      { name: "Name", of: ({ executor }) => executor.name },
      { name: "Tasks", of: ({ executor }) => executor.tasks.length + executor.queued_tasks.length, numeric: true },
      { name: "Resources", of: ({ executor }) => resources(executor.resources) },
      { name: "Uses", of: ({ statistics }) => usage(statistics) },
      {
        name: "Sandbox",
        of: () => "",
        show: ({ executor, agent }) => link(["directory"], "files", { agent: agent.id, path: executor.directory }),
      },
    ],
  });
}

/** Executors of all frameworks, those that have ended, too. */
function rows(state, kind, agent, statistics) {
  return [...state.frameworks, ...state.completed_frameworks].flatMap((framework) =>
    framework[kind].map((executor) => {
      const known = statistics.find((some) => some.framework_id === framework.id && some.executor_id === executor.id);
      return { framework, executor, agent, statistics: known?.statistics };
    }));
}

/** What an executor and its tasks have taken so far, if the agent measures it. */
function usage(statistics) {
  if (!statistics) return "";
  const seconds = (statistics.cpus_user_time_secs ?? 0) + (statistics.cpus_system_time_secs ?? 0);
  const memory = statistics.mem_rss_bytes;
  return [seconds > 0 && `${duration(seconds)} of cpu`, memory > 0 && `mem ${bytes(memory)}`].filter(Boolean).join(", ");
}

function listed(attributes) {
  return Object.entries(attributes).map(([name, value]) => `${name}:${typeof value === "number" ? number(value) : value}`).join(", ");
}
