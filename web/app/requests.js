// Questions to the master that leads, and to agents.

/** In milliseconds. The state of a large cluster may take long on a slow line. */
const TIMEOUTS = { state: 120_000, master: 30_000, agent: 10_000 };

/** What was asked for did not come. `isSilence`: nobody has answered at all; another address may. */
export class Failure extends Error {
  constructor(message, isSilence = false) {
    super(message);
    this.isSilence = isSilence;
  }
}

/** Where this master's paths begin; the pages are at /master, too, and may be behind a proxy. */
const OURS = new URL(".", new URL(location.pathname.replace(/\/master\/?$/, "/"), location.href));

/** The same of the master that has answered last: the leader, if ours follows. */
let leader = OURS;

/**
 * The state of the cluster. A master that follows sends its readers to the leader, who is asked from then on.
 */
export async function getState() {
  const response = await ask(new URL("state", OURS), TIMEOUTS.state);
  const state = await json(response);
  leader = new URL(".", response.url);
  return { state, leader: leader.origin === OURS.origin ? null : leader.href };
}

/** The JSON at a path of the leader's: "roles". */
export async function get(path) {
  return json(await askMaster(path));
}

/** A link to a path of the leader's. */
export function fromMaster(path) {
  return new URL(path, leader).href;
}

/** The JSON at an agent's path ("/state"). */
export async function getFromAgent(agent, path) {
  return json(await askAgent(agent, path));
}

/** Where an agent was reached, by its id. */
const reached = new Map();

/** An agent is asked by its host's name, and then by its address. */
export async function askAgent(agent, path) {
  let failure;
  for (const host of hostsOf(agent)) {
    try {
      const response = await ask(atHost(host, path), TIMEOUTS.agent);
      reached.set(agent.id, host);
      return response;
    } catch (error) {
      if (!error.isSilence) throw error;
      failure ??= error;
    }
  }
  reached.delete(agent.id);
  throw failure ?? new Failure(`"${agent.hostname}" is no host that can be asked`);
}

/** The same as {@link get}, but not read yet. */
export async function askMaster(path) {
  return ask(fromMaster(path), TIMEOUTS.master);
}

/** A link to an agent's path. */
export function linkToAgent(agent, path) {
  return atHost(hostsOf(agent)[0], path);
}

function hostsOf(agent) {
  const all = [reached.get(agent.id), `${agent.hostname}:${agent.port}`, agent.pid?.split("@")[1]];
  // An agent says itself what it is called: it is to be a host's name, and not a path elsewhere.
  return [...new Set(all)].filter((host) => host && /^(\[[0-9a-f:.]+\]|[\w.-]+):\d+$/i.test(host));
}

function atHost(host, path) {
  return host && `${location.protocol}//${host}${path}`;
}

async function ask(url, timeout) {
  let response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(timeout) });
  } catch (error) {
    throw new Failure(`${new URL(url).host} ${why(error, timeout)}`, true);
  }
  if (!response.ok) {
    const text = (await response.text()).trim();
    throw new Failure(text || `${response.status} ${response.statusText}`);
  }
  return response;
}

function why(error, timeout) {
  if (error.name === "TimeoutError") return `has not answered for ${timeout / 1000} s`;
  return "(or the leading master, to which it may have pointed) cannot be reached from here";
}

async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    throw new Failure(`${new URL(response.url).host} has not finished its answer: ${error.message}`);
  }
}
