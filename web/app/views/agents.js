// Agents: all of them, and one with what it says of itself.

import { conditionOf } from "../cluster.js";
import { facts, fill, h, link, section } from "../dom.js";
import { amount, bytes, duration, number, resources, short, time } from "../format.js";
import { getFromAgent, linkToAgent } from "../requests.js";
import { Table } from "../table.js";
import { TaskTables } from "./tasks.js";

const of = (name) => ({
  name,
  of: (agent) => (agent.used_resources[name] ?? 0) / (agent.resources[name] || 1),
  text: () => "",
  show: (agent) => `${amount(name, agent.used_resources[name] ?? 0)} of ${amount(name, agent.resources[name] ?? 0)}`,
  numeric: true,
});

const host = { name: "Host", of: (agent) => agent.hostname };
const id = { name: "ID", of: (agent) => agent.id, show: (agent) => short(agent.id) };
const attributes = { name: "Attributes", of: (agent) => listed(agent.attributes) };

const COLUMNS = [
  { ...host, text: (agent) => `${agent.hostname}:${agent.port}`, show: (agent) => link(["agents", agent.id], `${agent.hostname}:${agent.port}`) },
  id,
  { name: "State", of: conditionOf },
  of("cpus"), of("gpus"), of("mem"), of("disk"),
  attributes,
  { name: "Version", of: (agent) => agent.version },
  {
    name: "Registered",
    of: (agent) => agent.reregistered_time ?? agent.registered_time,
    text: () => "",
    show: (agent) => time(agent.reregistered_time ?? agent.registered_time),
  },
];

export function agents() {
  const registered = new Table({ title: "Agents", what: "agent", columns: COLUMNS, sort: "Host" });
  const title = "Recovered agents, not re-registered";
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

/** One agent: what the master knows of it, and then what it says itself. */
export function agent(id) {
  const heading = h("h1");
  const about = h("div");
  const shares = h("div");
  const trouble = h("p", { class: "bad" });
  const executors = executorTable("Executors");
  const completed = executorTable("Completed executors");
  const tables = new TaskTables(["Agent"]);
  const its = h("div", {}, section("Resources", shares), trouble, executors.element, completed.element);
  const element = h("div", {}, heading, about, its, tables.elements);
  const page = { title: "Agent", element, update };
  const usage = new Usage();
  let said;

  async function update(cluster) {
    const it = cluster.agents.get(id);
    tables.update(cluster, ({ task }) => task.slave_id === id);
    its.hidden = !it;
    if (!it) {
      const recovered = cluster.state.recovered_slaves.find((other) => other.id === id);
      fill(heading, recovered ? `${recovered.hostname}:${recovered.port}` : id);
      fill(about, h("p", {}, recovered
        ? "It was registered with an earlier master, and has not re-registered yet."
        : "It is not registered. It may be unreachable, or gone."));
      return;
    }
    page.title = cluster.names.get(id);
    fill(heading, `${it.hostname}:${it.port}`);
    fill(about, described(it, said));
    fill(shares, shareTable(it));
    try {
      said = await getFromAgent(it, "/state");
      usage.update(await getFromAgent(it, "/monitor/statistics").catch(() => []));
      executors.update(rows(said, "executors", it, usage));
      completed.update(rows(said, "completed_executors", it, usage));
      fill(about, described(it, said));
      fill(trouble);
    } catch (error) {
      fill(trouble, `What the agent itself says could not be read: ${error.message}`);
    }
  }
  return page;
}

function described(it, state) {
  const { region, zone } = it.domain?.fault_domain ?? {};
  const grace = it.drain_info?.config.max_grace_period;
  const agentState = linkToAgent(it, "/state");
  return facts([
    ["ID", it.id],
    ["State", conditionOf(it)],
    ["Drain began", time(it.estimated_drain_start_time_seconds)],
    ["Drain: grace period at most", grace && duration(grace.nanoseconds / 1e9)],
    ["When it is drained", it.drain_info?.config.mark_gone && "it is marked gone for good"],
    ["Address", it.pid.split("@")[1]],
    ["Version", it.version],
    ["Attributes", listed(it.attributes)],
    ["Region and zone", region && `${region.name}, ${zone.name}`],
    ["Registered", time(it.registered_time)],
    ["Re-registered", time(it.reregistered_time)],
    ["Started", time(state?.start_time)],
    ["Log", state?.log_dir && link(["file"], "mesos-agent.log", { agent: it.id, path: "/slave/log" })],
    ["As JSON", agentState && h("a", { href: agentState }, "/state")],
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
  const heads = ["", "Total", "Used", "Offered", "Reserved"].map((text) => h("th", { scope: "col" }, text));
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
      { name: "Active tasks", of: ({ executor }) => executor.tasks.length + executor.queued_tasks.length, numeric: true },
      { name: "Completed tasks", of: ({ executor }) => executor.completed_tasks.length, numeric: true },
      { name: "Resources", of: ({ executor }) => resources(executor.resources) },
      { name: "Uses", of: ({ uses }) => uses },
      {
        name: "Sandbox",
        of: () => "",
        show: ({ executor, agent }) => link(["directory"], "files", { agent: agent.id, path: executor.directory }),
      },
    ],
  });
}

/** Executors of all frameworks, those that have ended, too. */
function rows(state, kind, agent, usage) {
  return [...state.frameworks, ...state.completed_frameworks].flatMap((framework) =>
    framework[kind].map((executor) => ({ framework, executor, agent, uses: usage.of(framework, executor) })));
}

/** What executors and their tasks take, as far as the agent measures it: cpus since it was asked last. */
class Usage {
  constructor() {
    this.now = new Map();
    this.before = new Map();
  }

  /** `all` is the body of /monitor/statistics. */
  update(all) {
    this.before = this.now;
    this.now = new Map(all.map((it) => [`${it.framework_id} ${it.executor_id}`, it.statistics]));
  }

  of(framework, executor) {
    const key = `${framework.id} ${executor.id}`;
    const [now, before] = [this.now.get(key), this.before.get(key)];
    if (!now) return "";
    const seconds = (it) => (it.cpus_user_time_secs ?? 0) + (it.cpus_system_time_secs ?? 0);
    const passed = before && now.timestamp - before.timestamp;
    const cpus = passed > 0 && `cpus ${number((seconds(now) - seconds(before)) / passed)}`;
    return [cpus, now.mem_rss_bytes > 0 && `mem ${bytes(now.mem_rss_bytes)}`].filter(Boolean).join(", ");
  }
}

function listed(attributes) {
  return Object.entries(attributes).map(([name, value]) => `${name}:${typeof value === "number" ? number(value) : value}`).join(", ");
}
