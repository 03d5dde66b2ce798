// The master's /state, with what the pages look up in it.

/** Resources that are shown as amounts of the whole. */
export const SCALARS = ["cpus", "gpus", "mem", "disk"];

/** The cluster at one moment. */
export class Cluster {
  /** `state` is the body of /state. */
  constructor(state) {
    this.state = state;
    this.agents = new Map(state.slaves.map((agent) => [agent.id, agent]));
    /** What agents are called, by their ids: the host, with the port where it has several. */
    this.names = named(state.slaves);
    this.frameworks = new Map();
    /** Lists of { task, framework, agent, host }; `agent` and `host`, its name, are undefined if it has gone. */
    this.active = [];
    this.unreachable = [];
    this.completed = [];
    for (const framework of [...state.completed_frameworks, ...state.frameworks]) {
      this.frameworks.set(framework.id, framework);
      const row = (task) => ({ task, framework, ...this.whereabouts(task) });
      for (const task of framework.tasks) this.active.push(row(task));
      for (const task of framework.unreachable_tasks) this.unreachable.push(row(task));
      for (const task of framework.completed_tasks) this.completed.push(row(task));
    }
  }

  /** Whether a framework has not been removed. */
  isRegistered(framework) {
    return this.state.frameworks.includes(framework);
  }

  /** The agent of a task or an offer, and its name. */
  whereabouts({ slave_id }) {
    return { agent: this.agents.get(slave_id), host: this.names.get(slave_id) };
  }

  /** All offers that nobody has answered, each with its framework and its agent. */
  get offers() {
    return this.state.frameworks.flatMap((framework) =>
      framework.offers.map((offer) => ({ offer, framework, ...this.whereabouts(offer) })));
  }

  /** { total, used, offered } of a scalar resource on all agents. */
  sum(name) {
    const of = (field) => this.state.slaves.reduce((sum, agent) => sum + (agent[field][name] ?? 0), 0);
    return { total: of("resources"), used: of("used_resources"), offered: of("offered_resources") };
  }
}

function named(agents) {
  const many = new Map();
  for (const { hostname } of agents) many.set(hostname, (many.get(hostname) ?? 0) + 1);
  return new Map(agents.map(({ id, hostname, port }) =>
    [id, many.get(hostname) > 1 ? `${hostname}:${port}` : hostname]));
}

/** The roles of a framework, which has one or several. */
export function rolesOf(framework) {
  return framework.roles ?? [framework.role];
}

/** How an agent is, in a word or two. */
export function conditionOf(agent) {
  const drain = agent.drain_info?.state.toLowerCase();
  if (drain) return drain;
  if (agent.deactivated) return "deactivated";
  return agent.active ? "active" : "disconnected";
}

/** When a task was first in a state of these. */
export function since(task, states) {
  return task.statuses.find((status) => states.includes(status.state))?.timestamp;
}

/** Where a task's sandbox is among its agent's files. */
export function sandboxOf(task) {
  const executor = task.executor_id || task.id;
  return `/frameworks/${task.framework_id}/executors/${executor}/runs/latest`;
}
