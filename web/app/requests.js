// Questions to the master and to agents.

const TIMEOUT = 30_000;

/** What was asked for did not come. */
export class Failure extends Error {}

/**
 * The JSON at a path of the master's ("state", without a slash before it: the pages may be behind a proxy), or at a URL.
 * Answers are { value, url }: a master that follows sends its readers to the leader, and `url` says who has answered.
 */
export async function get(url) {
  let response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT) });
  } catch (error) {
    const why = error.name === "TimeoutError" ? `has not answered for ${TIMEOUT / 1000} s` : "cannot be reached from here";
    throw new Failure(`${new URL(url, location.href).host} ${why}`);
  }
  if (!response.ok) {
    const text = (await response.text()).trim();
    throw new Failure(text || `${response.status} ${response.statusText}`);
  }
  return { value: await response.json(), url: response.url };
}

/** Where an agent was reached, by its id. */
const reached = new Map();

/** The JSON at an agent's path ("/state"). An agent is asked by its host's name, and then by its address. */
export async function getFromAgent(agent, path) {
  const hosts = [`${agent.hostname}:${agent.port}`, ...(agent.pid ? [agent.pid.split("@")[1]] : [])];
  const known = reached.get(agent.id);
  let failure;
  for (const host of known ? [known] : new Set(hosts)) {
    try {
      const { value } = await get(agentUrl(host, path));
      reached.set(agent.id, host);
      return value;
    } catch (error) {
      failure = error;
      if (!error.message.includes("cannot be reached")) throw error;
    }
  }
  reached.delete(agent.id);
  throw failure;
}

/** A link to an agent's path. */
export function linkToAgent(agent, path) {
  return agentUrl(reached.get(agent.id) ?? `${agent.hostname}:${agent.port}`, path);
}

function agentUrl(host, path) {
  return `${location.protocol}//${host}${path}`;
}
