// Files of sandboxes and logs: a directory, and a file that is followed as it grows.
//
// The query says which: `agent` (an id; without it the master) and `path`, as /files has it.

import { fill, h, link } from "../dom.js";
import { bytes, stamp, time } from "../format.js";
import { get, getFromAgent, linkToAgent } from "../requests.js";
import { Table } from "../table.js";

/** The most that /files/read gives at once. */
const PIECE = 64 * 1024;
/** How often a file is asked for what is new, in milliseconds. */
const PERIOD = 1_000;

/** Whose files are shown. */
class Source {
  constructor(query) {
    this.agent = query.get("agent");
    this.path = query.get("path") ?? "/";
  }

  /** What /files answers at `endpoint`. */
  async ask(cluster, endpoint, more = {}) {
    const path = `/files/${endpoint}?${new URLSearchParams({ path: this.path, ...more })}`;
    if (!this.agent) return (await get(path.slice(1))).value;
    return getFromAgent(this.found(cluster), path);
  }

  found(cluster) {
    const agent = cluster.agents.get(this.agent);
    if (!agent) throw new Error(`No agent ${this.agent} is registered.`);
    return agent;
  }

  link(page, path, text) {
    return link([page], text, this.agent ? { agent: this.agent, path } : { path });
  }

  /** The address of the whole file. */
  download(cluster, path) {
    const asked = `/files/download?${new URLSearchParams({ path })}`;
    return this.agent ? linkToAgent(this.found(cluster), asked) : asked.slice(1);
  }

  /** Where the file is: each directory above it is a link, from the sandbox on. */
  heading(cluster) {
    const parts = this.path.split("/").filter(Boolean);
    const sandbox = parts.lastIndexOf("runs") + 1;
    const crumbs = parts.map((part, index) =>
      (index < sandbox || index === parts.length - 1 || sandbox === 0
        ? part
        : this.link("directory", `/${parts.slice(0, index + 1).join("/")}`, part)));
    const agent = this.agent && cluster.agents.get(this.agent);
    const whose = agent ? link(["agents", agent.id], agent.hostname) : this.agent ?? "Master";
    return h("h1", { class: "path" }, whose, crumbs.map((crumb) => [" / ", crumb]));
  }
}

export function directory(_, query) {
  const source = new Source(query);
  const heading = h("div");
  const trouble = h("p", { class: "bad" });
  const name = (file) => file.path.split("/").at(-1);
  const isDirectory = (file) => file.mode.startsWith("d");
  let known;
  const table = new Table({
    title: "Files",
    what: "file",
    sort: "Name",
    columns: [
      { name: "Mode", of: (file) => file.mode, show: (file) => h("code", {}, file.mode) },
      { name: "User", of: (file) => file.uid },
      { name: "Group", of: (file) => file.gid },
      { name: "Size", of: (file) => file.size, show: (file) => bytes(file.size), numeric: true },
      { name: "Changed", of: (file) => stamp(file.mtime), show: (file) => time(file.mtime) },
      {
        name: "Name",
        of: name,
        show: (file) => source.link(isDirectory(file) ? "directory" : "file", file.path, name(file) + (isDirectory(file) ? "/" : "")),
      },
      {
        name: "Whole",
        of: () => "",
        show: (file) => !isDirectory(file) && h("a", { href: source.download(known, file.path) }, "download"),
      },
    ],
  });
  return {
    title: "Files",
    element: h("div", {}, heading, trouble, table.element),
    async update(cluster) {
      known = cluster;
      fill(heading, source.heading(cluster));
      try {
        table.update(await source.ask(cluster, "browse"));
        fill(trouble);
      } catch (error) {
        fill(trouble, `${source.path} is not to be had: ${error.message}`);
      }
    },
  };
}

export function file(_, query) {
  const source = new Source(query);
  const heading = h("div");
  const trouble = h("p", { class: "bad" });
  const text = h("pre", { tabindex: "0", "aria-label": source.path });
  const whole = h("a", {}, "download");
  const follow = h("input", { type: "checkbox", checked: true });
  const earlier = h("button", { type: "button", hidden: true, onclick: () => later(before) }, "Earlier");
  const size = h("span", { class: "quiet" });
  // The bytes that are shown: [first, end).
  let first;
  let end;
  let cluster;
  let queue = Promise.resolve();
  const element = h("div", {}, heading, trouble,
    h("p", { class: "pager" }, earlier, " ", size, " ", whole, " ", h("label", {}, follow, " follow")), text);

  /** One after the other: what is shown must stay in order. */
  function later(step) {
    queue = queue.then(step).then(() => fill(trouble), (error) => {
      fill(trouble, `${source.path} is not to be had: ${error.message}`);
    });
    return queue;
  }

  /** Shows what is new. Sizes are in bytes, as the agent counts them; what is no UTF-8 would be counted wrongly here. */
  async function more() {
    const { offset: now } = await source.ask(cluster, "read", { offset: -1 });
    if (end === undefined || now < end) {
      // It is shown from near its end; one that has become shorter is another one.
      first = end = Math.max(0, now - PIECE);
      fill(text);
    }
    while (end < now) {
      const length = Math.min(PIECE, now - end);
      const { data } = await source.ask(cluster, "read", { offset: end, length });
      text.append(data);
      end += length;
    }
    shown(now);
  }

  async function before() {
    const from = Math.max(0, first - PIECE);
    const { data } = await source.ask(cluster, "read", { offset: from, length: first - from });
    text.prepend(data);
    first = from;
    shown(end);
  }

  function shown(now) {
    size.textContent = first > 0 ? `the last ${bytes(end - first)} of ${bytes(now)}` : bytes(now);
    earlier.hidden = first === 0;
  }

  async function watch() {
    if (!element.isConnected) return;
    if (follow.checked && !document.hidden) {
      const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 40;
      const had = end;
      await later(more);
      if (atEnd && end !== had) text.scrollTop = text.scrollHeight;
    }
    setTimeout(watch, PERIOD);
  }

  return {
    title: source.path.split("/").at(-1),
    element,
    update(latest) {
      const isFirst = !cluster;
      cluster = latest;
      fill(heading, source.heading(cluster));
      whole.href = source.download(cluster, source.path);
      if (isFirst) watch();
    },
  };
}
