// Files of sandboxes and logs: a directory, and a file that is followed as it grows.
//
// The query says which: `agent` (an id; without it the master) and `path`, as /files has it.

import { fill, h, link } from "../dom.js";
import { bytes, time } from "../format.js";
import { askAgent, askMaster, fromMaster, linkToAgent } from "../requests.js";
import { Table } from "../table.js";

/** The most that /files/read gives at once. */
const PIECE = 64 * 1024;
/** With more that is new, a file is shown from near its end. */
const SKIPPED_FROM = 16 * PIECE;
/** What is shown of a file at most; what came first goes. */
const KEPT = 64 * PIECE;
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
    const path = `files/${endpoint}?${new URLSearchParams({ path: this.path, ...more })}`;
    return this.agent ? askAgent(this.found(cluster), `/${path}`) : askMaster(path);
  }

  found(cluster) {
    const agent = cluster.agents.get(this.agent);
    if (!agent) throw new Error(`agent ${this.agent} is not registered`);
    return agent;
  }

  link(page, path, text) {
    return link([page], text, this.agent ? { agent: this.agent, path } : { path });
  }

  /** The address of a whole file, if it has one. */
  download(cluster, path) {
    const asked = `files/download?${new URLSearchParams({ path })}`;
    if (!this.agent) return fromMaster(asked);
    const agent = cluster.agents.get(this.agent);
    return agent && linkToAgent(agent, `/${asked}`);
  }

  /** Where the file is: each directory above it is a link, from the sandbox on. */
  heading(cluster) {
    const parts = this.path.split("/").filter(Boolean);
    const [sandbox = ""] = /^.*?\/executors\/[^/]+\/runs\/[^/]+/.exec(this.path) ?? [];
    const depth = sandbox.split("/").filter(Boolean).length;
    const crumbs = parts.map((part, index) =>
      (depth === 0 || index < depth - 1 || index === parts.length - 1
        ? part
        : this.link("directory", `/${parts.slice(0, index + 1).join("/")}`, part)));
    const host = cluster.names.get(this.agent);
    const whose = host ? link(["agents", this.agent], host) : this.agent ?? "Master";
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
      { name: "Changed", of: (file) => file.mtime, text: () => "", show: (file) => time(file.mtime) },
      {
        name: "Name",
        of: name,
        show: (file) => {
          const [page, mark] = isDirectory(file) ? ["directory", "/"] : ["file", ""];
          return source.link(page, file.path, name(file) + mark);
        },
      },
      {
        name: "Download",
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
        table.update(await (await source.ask(cluster, "browse")).json());
        fill(trouble);
      } catch (error) {
        fill(trouble, `${source.path} could not be read: ${error.message}`);
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
  const element = h("div", {}, heading, trouble,
    h("p", { class: "pager" }, earlier, size, whole, h("label", {}, follow, " follow")), text);
  // The bytes that are shown: [first, end). In pieces of { node, length }.
  let first;
  let end;
  let pieces = [];
  // A character may lie across two pieces.
  let decoder;
  let cluster;
  let queue = Promise.resolve();

  /** One after the other: what is shown must stay in order. */
  function later(step) {
    queue = queue.then(step).then(() => fill(trouble), (error) => {
      fill(trouble, `${source.path} could not be read: ${error.message}`);
    });
    return queue;
  }

  /** Shows what is new. */
  async function more() {
    const { offset: now } = await read({ offset: -1 });
    // One that has become shorter is another one.
    if (end === undefined || now < end || now - end > SKIPPED_FROM) beginAt(Math.max(0, now - PIECE));
    while (end < now && element.isConnected) {
      const { data } = await read({ offset: end, length: Math.min(PIECE, now - end) });
      if (data.length === 0) break;
      const isFirst = pieces.length === 0 && first > 0;
      const cut = isFirst ? continuation(data) : 0;
      if (isFirst) first += cut;
      const node = document.createTextNode(decoder.decode(data.subarray(cut), { stream: true }));
      text.append(node);
      pieces.push({ node, length: data.length - cut });
      end += data.length;
      while (end - first > KEPT && pieces.length > 1) {
        const oldest = pieces.shift();
        oldest.node.remove();
        first += oldest.length;
      }
    }
    shown(now);
  }

  function beginAt(offset) {
    first = end = offset;
    pieces = [];
    decoder = new TextDecoder();
    fill(text);
  }

  async function before() {
    const from = Math.max(0, first - PIECE);
    const { data } = await read({ offset: from, length: first - from });
    const cut = from > 0 ? continuation(data) : 0;
    const node = document.createTextNode(new TextDecoder().decode(data.subarray(cut)));
    const height = text.scrollHeight;
    text.prepend(node);
    text.scrollTop += text.scrollHeight - height;
    pieces.unshift({ node, length: data.length - cut });
    first = from + cut;
    shown(end);
  }

  /** A piece of the file: its JSON has the bytes as they are, whatever they mean. */
  async function read(span) {
    const raw = new Uint8Array(await (await source.ask(cluster, "read", span)).arrayBuffer());
    let json = "";
    for (let at = 0; at < raw.length; at += 4096) json += String.fromCharCode(...raw.subarray(at, at + 4096));
    const { data, offset } = JSON.parse(json);
    return { offset, data: Uint8Array.from(data, (character) => character.charCodeAt(0)) };
  }

  function shown(now) {
    size.textContent = first > 0 ? `the last ${bytes(end - first)} of ${bytes(now)}` : bytes(now);
    earlier.hidden = first === 0;
  }

  async function watch() {
    if (!element.isConnected) return;
    if (follow.checked && !document.hidden) {
      const isAtEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 40;
      const had = end;
      await later(more);
      if (isAtEnd && end !== had) text.scrollTop = text.scrollHeight;
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
      const url = source.download(cluster, source.path);
      whole.hidden = !url;
      if (url) whole.href = url;
      if (isFirst) watch();
    },
  };
}

/** Bytes at the beginning that belong to a character before (UTF-8: 10xxxxxx, at most three). */
function continuation(data) {
  let count = 0;
  while (count < 3 && count < data.length && (data[count] & 0xc0) === 0x80) count += 1;
  return count;
}
