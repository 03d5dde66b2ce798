// The whole cluster at a glance.

import { SCALARS } from "../cluster.js";
import { facts, fill, h, link, section } from "../dom.js";
import { amount, number, state, time } from "../format.js";
import { fromMaster, get } from "../requests.js";
import { TaskTables } from "./tasks.js";

/** As metrics call them; those that may be over have been counted since this master was elected. */
const STATES = [
  "staging", "starting", "running", "killing", "unreachable", "finished", "killed", "failed", "error", "lost", "dropped",
  "gone", "gone_by_operator",
];

export function overview() {
  const who = h("div");
  const agents = h("div");
  const tasks = h("div");
  const resources = h("div");
  const tables = new TaskTables();
  const element = h("div", {},
    h("div", { class: "cards" },
      section("Cluster", who), section("Agents", agents), section("Tasks", tasks), section("Resources", resources)),
    tables.elements);

  async function update(cluster) {
    const { state: it } = cluster;
    const leader = it.leader_info;
    fill(who, facts([
      ["Name", it.cluster],
      ["Leader", leader && `${leader.hostname}:${leader.port}`],
      ["Master", it.id],
      ["Version", it.version],
      ["Built", time(it.build_time)],
      ["Started", time(it.start_time)],
      ["Elected", time(it.elected_time)],
      ["Log", it.log_dir && link(["file"], "mesos-master.log", { path: "/master/log" })],
      ["As JSON", ["state", "flags", "metrics/snapshot"].map((path) => [h("a", { href: fromMaster(path) }, `/${path}`), " "])],
    ]));
    fill(agents, facts([
      ["Active", number(it.activated_slaves)],
      ["Inactive", number(it.deactivated_slaves)],
      ["Unreachable", number(it.unreachable_slaves)],
      ["Recovered, not re-registered", it.recovered_slaves.length > 0 && number(it.recovered_slaves.length)],
    ]));
    fill(resources, SCALARS.map((name) => bar(name, cluster.sum(name))));
    tables.update(cluster);
    // The counts are gone if they cannot be had; that the master is, is said elsewhere.
    fill(tasks, counts(await get("metrics/snapshot").catch(() => ({}))));
  }
  return { element, update };
}

/** How many tasks there are in each state, and how many there have been. */
function counts(metrics) {
  const known = STATES.map((name) => [name, metrics[`master/tasks_${name}`]]);
  const shown = known.filter(([name, many], index) => many > 0 || (many === 0 && (index < 3 || name === "finished")));
  return facts(shown.map(([name, many]) => [state(name), number(many)]));
}

/** How much of a resource is used and offered. */
function bar(name, { total, used, offered }) {
  if (total === 0) return null;
  const free = total - used - offered;
  const part = (value) => `${(100 * value) / total}%`;
  const text = [
    `${amount(name, used)} used`, offered > 0 && `${amount(name, offered)} offered`, `${amount(name, free)} free`,
  ];
  return h("div", { class: "resource" },
    h("div", {}, h("strong", {}, name), ` ${amount(name, total)}`),
    h("div", { class: "bar" },
      h("span", { class: "used", style: { width: part(used) } }),
      offered > 0 && h("span", { class: "offered", style: { width: part(offered) } })),
    h("div", { class: "quiet" }, text.filter(Boolean).join(", ")));
}
